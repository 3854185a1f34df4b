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

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// wholePlace holds a store of today's program in which every field is set, and a
// record and an intent as they stand there. From the first release on it is
// never written again: a program that adds a field adds a folder.
var wholePlace = filepath.Join("testdata", formatVersion)

// wholeRecord has every field set, those too that a newer program wrote.
func wholeRecord() Record {
	r := golden()
	at := r.StoredAt
	r.Token.Uncertain = true
	r.Health.Halves = 1
	r.Health.KeyRefused = "aabbccddeeff0011"
	r.Way = WayRenew
	r.GrantedTo = GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example",
		Person: Person{Fingerprint: "2233445566778899", Name: "alice"}}
	r.FoundIn = "the file of sink bot"
	r.Grant, r.Parent = 7, "0123456789abcdef"
	r.Past = []byte("eight by" + "tes each")
	token := func(name string) sdk.Token {
		t := r.Token
		t.AccessToken, t.RefreshToken = sdk.NewSecret("access "+name), sdk.NewSecret("refresh "+name)
		return t
	}
	r.Before = []Before{
		{Token: token("found"), LoginAt: at.Add(-time.Hour), LoginUncertain: true, RefreshExpiry: at.Add(2 * time.Hour), FoundIn: "the shared file /srv/bot.json", GrantedTo: r.GrantedTo},
		{Token: token("proven"), LoginAt: at.Add(-48 * time.Hour), RefreshExpiry: at.Add(time.Hour), GrantedTo: GrantedTo{Client: "8899aabbccddeeff"}},
	}
	r.Evidence = []Evidence{{
		Attempt: "0197c59f-attempt", Kind: "refresh", Version: 40, Grant: 6, Parent: "fedcba9876543210", Token: token("late"), GrantedTo: r.GrantedTo,
		At: at.Add(time.Second), Until: at.Add(time.Second + EvidenceLife), Why: "it was begun from version 40, and version 42 has come since, by <an import>",
	}}
	r.Candidate = &Candidate{
		Token: token("another person's"), LoginAt: at.Add(2 * time.Second), RefreshExpiry: at.Add(3 * time.Hour), Attempt: "0197c59e-attempt",
		GrantedTo: GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example",
			Person: Person{Fingerprint: "99aabbccddeeff00", Name: "bob", Assumed: true}},
	}
	return r
}

// wholeIntent is of a login that stands over a replay.
func wholeIntent() Intent {
	before := goldenIntent()
	before.Grant, before.Spool, before.Until = 7, "spool-id", before.At.Add(35*time.Second)
	before.Sends, before.SentAt, before.Unread, before.UnreadAttempt = 3, before.At, true, "the-one-nobody-could-read"
	before.Unknown = `{"lease":{"keeper":"b"}}`
	return Intent{
		Account: before.Account, Provider: before.Provider, Attempt: "0197c5a2-attempt", Kind: "exchange", Version: 42, Grant: 7,
		At: before.At.Add(time.Minute), Boot: "boot-id", Spool: "spool-id", Until: before.At.Add(95 * time.Second),
		Login: "state-of-the-login", Before: &before, Unknown: `{"lease":{"keeper":"a"}}`,
	}
}

// wholeLogin has every field set.
func wholeLogin() Login {
	at := golden().StoredAt
	return Login{
		Account: "saxo-live", State: "state", URL: "https://sim.logonvalidation.example/authorize?state=state&x=<1>", Verifier: sdk.NewSecret("verifier"),
		Issuer: "https://sim.logonvalidation.example", At: at, Until: at.Add(15 * time.Minute),
		By:        event.Caller{UID: 1000, PID: 4711, Program: "/usr/bin/tokenkeeper"},
		GrantedTo: GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example"},
		Config:    "7766554433221100",
		Guided: sdk.Login{
			Shape: sdk.LoginDevice, Address: "https://sim.logonvalidation.example/device?x=<1>", Instructions: "Type the code.", UserCode: "WDJB-MJHT",
			Expires: at.Add(30 * time.Minute), PollEvery: 5 * time.Second, Private: map[string]sdk.Secret{"device_code": sdk.NewSecret("device")},
		},
		Given: sdk.NewSecret("given"),
	}
}

// wholeRequests have every field set.
func wholeRequests() []Request {
	at := golden().StoredAt
	return []Request{{Attempt: "0197c59f-attempt", At: at, Up: time.Hour, Boot: "boot-id", Failed: true, Poll: "8899aabbccddeeff"}, {Attempt: "0197c5a2-attempt", At: at.Add(time.Minute)}}
}

// TestReleaseWhole writes the files, once.
func TestReleaseWhole(t *testing.T) {
	if !*release {
		t.Skip("only when a field is added: go test -run TestReleaseWhole -release")
	}
	if err := os.MkdirAll(wholePlace, 0o755); err != nil {
		t.Fatalf("what was released is never written again: %v", err)
	}
	record, err := seal(wholeRecord())
	if err != nil {
		t.Fatal(err)
	}
	intent, err := json.Marshal(wholeIntent())
	if err != nil {
		t.Fatal(err)
	}
	dir := plant(t, formatVersion, map[string][]byte{recordKey("saxo-live"): record, intentKey("saxo-live"): intent})
	s, err := Open(dir, Options{Now: func() time.Time { return golden().StoredAt }})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SaveOwner(t.Context(), goldenOwner()), s.SaveAlert(t.Context(), goldenAlert()), s.PutLogin(t.Context(), wholeLogin()),
		s.PutRequests(t.Context(), "saxo-live", wholeRequests()), s.Abandon(t.Context(), "new-one", "", wholeRecord().Health),
		s.MarkDelivered(t.Context(), goldenDelivery()), s.MarkTried(t.Context(), goldenTried()), s.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeGzip(filepath.Join(wholePlace, FileName+".gz"), file); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{"record.json": record, "intent.json": intent} {
		var indented bytes.Buffer
		if err := errors.Join(json.Indent(&indented, b, "", "  "), os.WriteFile(filepath.Join(wholePlace, name), append(indented.Bytes(), '\n'), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// No field is left out of the files.
func TestWholeIsWhole(t *testing.T) {
	r, in := wholeRecord(), wholeIntent()
	in.Replays, in.AmbiguousSince, in.Fingerprint, in.Sends, in.SentAt, in.Unread, in.UnreadAttempt = in.Before.Replays, in.Before.AmbiguousSince,
		in.Before.Fingerprint, in.Before.Sends, in.Before.SentAt, in.Before.Unread, in.Before.UnreadAttempt // a refresh alone has them
	r.Held, r.Key, in.Requests = true, "aabbccddeeff0011", wholeRequests() // never stored there
	for _, v := range []any{r, r.Token, r.Health, r.GrantedTo, r.Before[0], r.Evidence[0], *r.Candidate, r.Candidate.GrantedTo.Person, in, wholeLogin(), wholeLogin().By, wholeLogin().Guided, wholeRequests()[0]} {
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
	r, err := open("saxo-live", stored)
	if err != nil {
		t.Fatal(err)
	}
	checkSame(t, r, wholeRecord())
	if written, err := seal(r); err != nil || !bytes.Equal(written, stored) {
		t.Errorf("wrote\n%s (%v)\nwant\n%s", written, err, stored)
	}
	if b, err = os.ReadFile(filepath.Join(wholePlace, "intent.json")); err != nil {
		t.Fatal(err)
	}
	stored = compact(t, b)
	in, err := openIntent("saxo-live", stored)
	if err != nil || !reflect.DeepEqual(*in, wholeIntent()) {
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
	checkSame(t, r, wholeRecord())
	in, ok, err := s.Intent(ctx, "saxo-live")
	if err != nil || !ok || !reflect.DeepEqual(in, wholeIntent()) {
		t.Errorf("intent %+v (%v, %v)", in, ok, err)
	}
	ledger, err := s.Deliveries(ctx, "bot")
	if err != nil || ledger["saxo-live"] != goldenLine() {
		t.Errorf("ledger %+v (%v)", ledger, err)
	}
	alerts, err := s.Alerts(ctx)
	if err != nil || len(alerts) != 1 || !reflect.DeepEqual(alerts[0], goldenAlert()) {
		t.Errorf("alerts %+v (%v)", alerts, err)
	}
	if l, ok, err := s.Login(ctx, "saxo-live"); err != nil || !ok || !reflect.DeepEqual(l, wholeLogin()) {
		t.Errorf("the open login %+v (%v, %v)", l, ok, err)
	}
	if all, err := s.Requests(ctx, "saxo-live"); err != nil || !reflect.DeepEqual(all, wholeRequests()) {
		t.Errorf("requests %+v (%v)", all, err)
	}
	if r, err := s.Load(ctx, "new-one"); !errors.Is(err, ErrNotFound) || !reflect.DeepEqual(r.Health, wholeRecord().Health) {
		t.Errorf("the refusal of an account's first key: %+v (%v)", r.Health, err)
	}
	if owner, err := s.Owner(ctx); err != nil || !reflect.DeepEqual(owner, goldenOwner()) {
		t.Errorf("it belongs to %+v (%v)", owner, err)
	}

	in.Unread, in.UnreadAttempt = true, in.Attempt
	if err := errors.Join(s.Replace(ctx, in.Attempt, in), s.Abandon(ctx, "saxo-live", in.Attempt, Health{Failures: 3}), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	if back, ok, err := s.Intent(ctx, "saxo-live"); err != nil || !ok || !reflect.DeepEqual(back, *wholeIntent().Before) {
		t.Errorf("given back: %+v (%v, %v)", back, ok, err)
	}
	next := r.Next(tokenOf(43), OriginRefresh, in.Before.Attempt, r.StoredAt.Add(time.Hour))
	if err := errors.Join(s.Commit(ctx, next), s.Close()); err != nil {
		t.Fatal(err)
	}
	s = reach(t, dir)
	if r, err = s.Load(ctx, "saxo-live"); err != nil {
		t.Fatal(err)
	}
	checkSame(t, r, next)
	if string(r.Unknown["tier"]) != `{"level":9007199254740993}` || len(r.Evidence) != 1 {
		t.Errorf("what a newer program wrote is gone, or evidence is: %s, %d", r.Unknown["tier"], len(r.Evidence))
	}
}
