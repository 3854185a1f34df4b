package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
)

// wholePlace holds a store of today's program in which every field is set, and a
// record and an intent as they stand there. From the first release on it is
// never written again: a program that adds a field adds a folder.
var wholePlace = filepath.Join("testdata", journal.Version)

func goldenOwner() machine.Owner {
	at := recordtest.Golden().StoredAt
	return machine.Owner{
		Name:     machine.Name{Salt: "salt", ID: "0011", Product: "2233", Host: "vm-1"},
		Stranger: &machine.Stranger{Name: machine.Name{Salt: "salt", ID: "4455", Host: "vm-2"}, Logins: map[string]time.Time{"saxo-live": at}},
	}
}

func goldenDelivery() Delivery {
	return Delivery{Sink: "bot", Account: "saxo-live", Version: 42, At: recordtest.Golden().StoredAt.Add(time.Second), Latency: 3 * time.Millisecond, Consumer: "socket 1a-2b-3c"}
}

// goldenTried came after goldenDelivery.
func goldenTried() Tried {
	return Tried{
		Sink: "bot", Account: "saxo-live", Version: 43, At: recordtest.Golden().StoredAt.Add(time.Minute),
		Result: ResultFailed, Error: "HTTP 503", Failures: 2,
	}
}

// goldenLine is what the ledger says of both.
func goldenLine() Delivery {
	d, t := goldenDelivery(), goldenTried()
	d.Result, d.TriedVersion, d.TriedAt, d.Error, d.Failures = t.Result, t.Version, t.At, t.Error, t.Failures
	return d
}

func goldenAlert() event.Alert {
	at := recordtest.Golden().StoredAt
	return event.Alert{
		Key: "needs_login:saxo-live", Type: event.NeedsLogin, State: event.AlertRepeated, Version: 1782907200124,
		Provider: "saxo", Account: "saxo-live", Message: "log in <&> again", Since: at, ChangedAt: at.Add(time.Hour),
	}
}

// goldenMoved is of a login that came to another name, from its former one.
func goldenMoved() Record {
	return Record{Account: "before", Version: 1, Grant: 1, Token: recordtest.Token(1), StoredAt: recordtest.Golden().StoredAt}
}

// TestReleaseWhole writes the files, once.
func TestReleaseWhole(t *testing.T) {
	if !*release {
		t.Skip("only when a field is added: go test -run TestReleaseWhole -release")
	}
	if err := os.MkdirAll(wholePlace, 0o755); err != nil {
		t.Fatalf("what was released is never written again: %v", err)
	}
	sealed, err := record.Encode(recordtest.Whole())
	if err != nil {
		t.Fatal(err)
	}
	intent, err := json.Marshal(recordtest.WholeIntent())
	if err != nil {
		t.Fatal(err)
	}
	dir := plant(t, journal.Version, map[string][]byte{recordKey("saxo-live"): sealed, intentKey("saxo-live"): intent})
	s, err := Open(dir, Options{Now: func() time.Time { return recordtest.Golden().StoredAt }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SaveOwner(t.Context(), goldenOwner()), s.SaveAlert(t.Context(), goldenAlert()), s.PutLogin(t.Context(), recordtest.WholeLogin()),
		s.PutRequests(t.Context(), "saxo-live", recordtest.WholeRequests()), s.Abandon(t.Context(), "new-one", "", Basis{}, recordtest.Whole().Health),
		s.PutPause(t.Context(), "saxo-live", nil, new(recordtest.WholePause())), s.MarkDelivered(t.Context(), goldenDelivery()), s.MarkTried(t.Context(), goldenTried()),
		s.Commit(t.Context(), goldenMoved()), s.Rename(t.Context(), "before", "after", Basis{Version: 1}), s.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeGzip(filepath.Join(wholePlace, FileName+".gz"), file); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"record.json": sealed, "intent.json": intent} {
		var indented bytes.Buffer
		if err := errors.Join(json.Indent(&indented, b, "", "  "), os.WriteFile(filepath.Join(wholePlace, name), append(indented.Bytes(), '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// No field is left out of the files.
func TestWholeIsWhole(t *testing.T) {
	r, in := recordtest.Whole(), recordtest.WholeIntent()
	in.Replays, in.AmbiguousSince, in.Fingerprint, in.Sends, in.SentAt, in.Unread, in.UnreadAttempt = in.Before.Replays, in.Before.AmbiguousSince,
		in.Before.Fingerprint, in.Before.Sends, in.Before.SentAt, in.Before.Unread, in.Before.UnreadAttempt // a refresh alone has them
	in.Secrets, in.ClientRefused = in.Before.Secrets, in.Before.ClientRefused
	r.Held, r.Key, in.Requests = true, "aabbccddeeff0011", recordtest.WholeRequests() // never stored there
	for _, v := range []any{r, r.Token, r.Health, r.GrantedTo, r.Before[0], r.Evidence[0], *r.Candidate, r.Candidate.GrantedTo.Person, in, recordtest.WholeLogin(), recordtest.WholeLogin().By, recordtest.WholeLogin().Guided, recordtest.WholeRequests()[0], recordtest.WholePause()} {
		s := reflect.ValueOf(v)
		for n := range s.NumField() {
			if f := s.Type().Field(n); f.IsExported() && s.Field(n).IsZero() && f.Name != "Rescued" {
				t.Errorf("%T.%s is not set", v, f.Name)
			}
		}
	}
}

// The record and the intent are read, and written as they were.
func TestGoldenWhole(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(wholePlace, "record.json"))
	if err != nil {
		t.Fatal(err)
	}
	stored := compact(t, b)
	r, err := new(record.Decoder).Record("saxo-live", stored)
	if err != nil {
		t.Fatal(err)
	}
	recordtest.CheckSame(t, r, recordtest.Whole())
	if written, err := record.Encode(r); err != nil || !bytes.Equal(written, stored) {
		t.Errorf("wrote\n%s (%v)\nwant\n%s", written, err, stored)
	}
	if b, err = os.ReadFile(filepath.Join(wholePlace, "intent.json")); err != nil {
		t.Fatal(err)
	}
	stored = compact(t, b)
	in, err := record.DecodeIntent("saxo-live", stored)
	if err != nil || !reflect.DeepEqual(*in, recordtest.WholeIntent()) {
		t.Errorf("intent %+v (%v)", in, err)
	}
	if written, err := json.Marshal(in); err != nil || !bytes.Equal(written, stored) {
		t.Errorf("wrote\n%s (%v)\nwant\n%s", written, err, stored)
	}
}

// The store is read, and goes on: what this program does not know survives its
// changes.
func TestGoldenWholeStore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	b := readGzip(t, filepath.Join(wholePlace, FileName+".gz"))
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, FileName), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	s := reach(t, dir)
	if s.Restored() != nil {
		t.Fatalf("restored: %+v", s.Restored())
	}
	ctx := t.Context()
	r, err := s.Load(ctx, "saxo-live")
	if err != nil {
		t.Fatal(err)
	}
	recordtest.CheckSame(t, r, recordtest.Whole())
	in, ok, err := s.Intent(ctx, "saxo-live")
	if err != nil || !ok || !reflect.DeepEqual(in, recordtest.WholeIntent()) {
		t.Errorf("intent %+v (%v, %v)", in, ok, err)
	}
	if line, err := s.Delivery(ctx, "bot", "saxo-live"); err != nil || line != goldenLine() {
		t.Errorf("ledger %+v (%v)", line, err)
	}
	alerts, err := s.Alerts(ctx)
	if err != nil || len(alerts) != 1 || !reflect.DeepEqual(alerts[0], goldenAlert()) {
		t.Errorf("alerts %+v (%v)", alerts, err)
	}
	if l, ok, err := s.Login(ctx, "saxo-live"); err != nil || !ok || !reflect.DeepEqual(l, recordtest.WholeLogin()) {
		t.Errorf("the open login %+v (%v, %v)", l, ok, err)
	}
	if all, err := s.Requests(ctx, "saxo-live"); err != nil || !reflect.DeepEqual(all, recordtest.WholeRequests()) {
		t.Errorf("requests %+v (%v)", all, err)
	}
	if p, ok, err := s.Pause(ctx, "saxo-live"); err != nil || !ok || p != recordtest.WholePause() {
		t.Errorf("the pause %+v (%v, %v)", p, ok, err)
	}
	if r, err := s.Load(ctx, "new-one"); !errors.Is(err, ErrNotFound) || !reflect.DeepEqual(r.Health, recordtest.Whole().Health) {
		t.Errorf("the refusal of an account's first key: %+v (%v)", r.Health, err)
	}
	if owner, err := s.Owner(ctx); err != nil || !reflect.DeepEqual(owner, goldenOwner()) {
		t.Errorf("it belongs to %+v (%v)", owner, err)
	}
	free, err := s.Passed(ctx, "before")
	if err != nil || !free.Equal(recordtest.Golden().StoredAt) {
		t.Errorf("the former name was free %s (%v)", free, err)
	}
	if err := s.Rename(ctx, "after", "before", Basis{Version: 1}); err != nil {
		t.Fatal(err)
	}
	if free, err = s.Passed(ctx, "before"); err != nil || !free.IsZero() {
		t.Errorf("its login is back, and the name was free %s (%v)", free, err)
	}

	in.Unread, in.UnreadAttempt = true, in.Attempt
	if err := errors.Join(s.Replace(ctx, in.Attempt, in), s.Abandon(ctx, "saxo-live", in.Attempt, in.Basis(), Health{Failures: 3}), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	if back, ok, err := s.Intent(ctx, "saxo-live"); err != nil || !ok || !reflect.DeepEqual(back, *recordtest.WholeIntent().Before) {
		t.Errorf("given back: %+v (%v, %v)", back, ok, err)
	}
	next := r.Next(recordtest.Token(43), OriginRefresh, in.Before.Attempt, r.StoredAt.Add(time.Hour))
	if err := errors.Join(s.Commit(ctx, next), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	if r, err = s.Load(ctx, "saxo-live"); err != nil {
		t.Fatal(err)
	}
	recordtest.CheckSame(t, r, next)
	if string(r.Unknown["tier"]) != `{"level":9007199254740993}` || len(r.Evidence) != 1 {
		t.Errorf("what a newer program wrote is gone, or evidence is: %s, %d", r.Unknown["tier"], len(r.Evidence))
	}
}
