package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
)

// golden is what the files in testdata hold.
func golden() Record {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	return Record{
		Account: "saxo-live", Provider: "saxo", Version: 42, Origin: OriginRefresh, Attempt: "0197c5a0-attempt", StoredAt: at,
		LoginAt: at.Add(-48 * time.Hour), LoginUncertain: true, RefreshExpiry: at.Add(time.Hour),
		Fingerprints: []string{"0123456789abcdef", "fedcba9876543210"},
		Token: sdk.Token{
			AccessToken: sdk.NewSecret("access <&> token"), RefreshToken: sdk.NewSecret("refresh token"), IDToken: sdk.NewSecret("id token"),
			TokenType: "Bearer", Scope: "api", IssuedAt: at.Add(-time.Second),
			Lifetime: 20 * time.Minute, RefreshLifetime: time.Hour, Skew: -1500 * time.Millisecond,
			Extra:   map[string]string{"base_uri": "https://gateway.example/live"},
			Private: map[string]sdk.Secret{"code_verifier": sdk.NewSecret("verifier")},
		},
		Health: Health{
			Failures: 2, LastError: "HTTP 503", LastKind: sdk.KindTransient, LastFailure: at.Add(-time.Minute),
			NeedsLogin: "0011223344556677", Ambiguous: at.Add(-2 * time.Minute),
		},
		Unknown: map[string][]byte{"tier": []byte(`{"level":9007199254740993}`)},
	}
}

// Every layout that was ever released must be read. The files of a release are
// never written again.
func TestGoldenRecord(t *testing.T) {
	for _, format := range []string{"1.0", "2.0", "2.1", "2.2"} {
		b, err := os.ReadFile(filepath.Join("testdata", format, "record.json"))
		if err != nil {
			t.Fatal(err)
		}
		r, err := open("saxo-live", compact(t, b)) // as it was stored
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, r, golden())
		if format != formatVersion {
			continue
		}
		// Today's program writes today's layout.
		written, err := seal(golden())
		if err != nil {
			t.Fatal(err)
		}
		if want := compact(t, b); !bytes.Equal(written, want) {
			t.Errorf("wrote\n%s\nwant\n%s", written, want)
		}
	}
}

func TestGoldenStore(t *testing.T) {
	for _, format := range []string{"1.0", "2.0", "2.1", "2.2"} {
		b := readGzip(t, filepath.Join("testdata", format, FileName+".gz"))
		dir := filepath.Join(t.TempDir(), "state")
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, FileName), b, 0o600)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.Load(t.Context(), "saxo-live")
		if err != nil {
			t.Fatal(err)
		}
		checkSame(t, r, golden())
		in, ok, err := s.Intent(t.Context(), "saxo-live")
		if err != nil || !ok || !reflect.DeepEqual(in, goldenIntent()) {
			t.Errorf("intent %+v (%v, %v)", in, ok, err)
		}
		ledger, err := s.Deliveries(t.Context(), "bot")
		if err != nil || ledger["saxo-live"] != goldenLine(format) {
			t.Errorf("ledger %+v (%v)", ledger, err)
		}
		alerts, err := s.Alerts(t.Context())
		if err != nil || format >= "2.1" && (len(alerts) != 1 || !reflect.DeepEqual(alerts[0], goldenAlert())) || format < "2.1" && len(alerts) > 0 {
			t.Errorf("alerts %+v (%v)", alerts, err)
		}
		want := machine.Owner{}
		if format >= "2.2" {
			want = goldenOwner()
		}
		owner, err := s.Owner(t.Context())
		if err != nil || !reflect.DeepEqual(owner, want) {
			t.Errorf("%s: it belongs to %+v (%v)", format, owner, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func goldenOwner() machine.Owner {
	at := golden().StoredAt
	return machine.Owner{
		Name:     machine.Name{Salt: "salt", ID: "0011", Product: "2233", Host: "vm-1"},
		Stranger: &machine.Stranger{Name: machine.Name{Salt: "salt", ID: "4455", Host: "vm-2"}, Logins: map[string]time.Time{"saxo-live": at}},
	}
}

func goldenIntent() Intent {
	at := golden().StoredAt
	return Intent{
		Account: "saxo-live", Provider: "saxo", Attempt: "0197c5a1-attempt", Kind: "refresh", Version: 42,
		Fingerprint: "8899aabbccddeeff", At: at.Add(time.Minute), Boot: "boot-id",
		Replays: "0197c5a0-replayed", AmbiguousSince: at.Add(30 * time.Second),
	}
}

func goldenDelivery() Delivery {
	return Delivery{Sink: "bot", Account: "saxo-live", Version: 42, At: golden().StoredAt.Add(time.Second), Latency: 3 * time.Millisecond}
}

// goldenTried came after goldenDelivery.
func goldenTried() Tried {
	return Tried{
		Sink: "bot", Account: "saxo-live", Version: 43, At: golden().StoredAt.Add(time.Minute),
		Result: ResultFailed, Error: "HTTP 503", Failures: 2,
	}
}

// goldenLine is what a store of that format says of goldenDelivery.
func goldenLine(format string) Delivery {
	d := goldenDelivery()
	d.Result, d.TriedVersion, d.TriedAt = ResultDelivered, d.Version, d.At
	if t := goldenTried(); format >= "2.1" {
		d.Result, d.TriedVersion, d.TriedAt, d.Error, d.Failures = t.Result, t.Version, t.At, t.Error, t.Failures
	}
	return d
}

func goldenAlert() event.Alert {
	at := golden().StoredAt
	return event.Alert{
		Key: "needs_login:saxo-live", Type: event.NeedsLogin, State: event.AlertRepeated, Version: 1782907200124,
		Provider: "saxo", Account: "saxo-live", Message: "log in <&> again", Since: at, ChangedAt: at.Add(time.Hour),
	}
}

// checkSame compares two records as they are stored, secrets and all.
func checkSame(t *testing.T, got, want Record) {
	t.Helper()
	want.Grant = max(want.Grant, 1) // one that tells none is of the first
	g, err := seal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := seal(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

func TestOpenRecord(t *testing.T) {
	whole, err := seal(golden())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		old, new string
		want     error
	}{
		{"newer major version", `"format":"2.2"`, `"format":"3.0"`, ErrNewerFormat},
		{"newer minor version", `"format":"2.2"`, `"format":"2.7"`, nil},
		{"no version", `"format":"2.2",`, ``, ErrDamaged},
		{"odd version", `"format":"2.2"`, `"format":"2"`, ErrDamaged},
		{"another account", `"saxo-live"`, `"saxo-sim"`, ErrDamaged},
		{"version zero", `"version":42`, `"version":0`, ErrDamaged},
		{"wrong kind", `"refresh_token":"refresh token"`, `"refresh_token":["SECRET"]`, ErrDamaged},
		{"bad duration", `"20m0s"`, `"SECRET"`, ErrDamaged},
		{"not JSON", `{"format"`, `SECRET{"format"`, ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := strings.Replace(string(whole), tt.old, tt.new, 1)
			if b == string(whole) {
				t.Fatalf("%s is not in the record", tt.old)
			}
			// The checksum is right; what is wrong has to be seen anyway.
			b = string(sign([]byte(b[:len(b)-sumLength] + "}")))
			_, err := open("saxo-live", []byte(b))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "saxo-live")) {
				t.Errorf("the error must name the account and no content: %v", err)
			}
		})
	}
	for n := range whole {
		for bit := range 8 {
			flipped := bytes.Clone(whole)
			flipped[n] ^= 1 << bit
			if _, err := open("saxo-live", flipped); err == nil {
				t.Fatalf("bit %d of byte %d was flipped, and nobody saw it", bit, n)
			}
		}
		if _, err := open("saxo-live", whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Fatalf("the first %d of %d bytes: %v", n, len(whole), err)
		}
	}
}

func FuzzOpenRecord(f *testing.F) {
	whole, err := seal(golden())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"format":"1.0","account":"saxo-live","version":1,"VERSION":2,"token":{},"x":null}`))
	f.Add([]byte(`{"format":"1.0","account":"saxo-live","version":1,"token":{"private":{"a":""},"lifetime":"-1ns"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := open("saxo-live", b)
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewerFormat) {
				t.Errorf("error of another kind: %v", err)
			}
			return
		}
		// What was read can be stored again, and nothing gets lost by it.
		again, err := seal(r)
		if err != nil {
			t.Fatalf("%q can't be stored again: %v", b, err)
		}
		back, err := open("saxo-live", again)
		if err != nil {
			t.Fatalf("%q was stored as %q: %v", b, again, err)
		}
		checkSame(t, back, r)
		if len(back.Unknown) != len(r.Unknown) || !back.Token.RefreshToken.Equal(r.Token.RefreshToken) {
			t.Errorf("%q lost something as %q", b, again)
		}
	})
}

// TestGrantedToIsStored: whom a token was granted to outlives the process, and
// a record that does not know it reads as such.
func TestGrantedToIsStored(t *testing.T) {
	for _, g := range []GrantedTo{{}, {Client: "0011223344556677"}, {Client: "0011223344556677", Environment: "live", TokenHost: "one.example"}} {
		r := golden()
		r.GrantedTo = g
		b, err := seal(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := open(r.Account, b)
		if err != nil || back.GrantedTo != g {
			t.Errorf("%+v came back as %+v, %v", g, back.GrantedTo, err)
		}
		if bytes.Contains(b, []byte("granted_to")) != (g != GrantedTo{}) {
			t.Errorf("stored as %s", b)
		}
	}
}

// An older program copies it into versions that it got by a login of another
// client: of those it is not true.
func TestGrantedToThatAnOlderProgramCopied(t *testing.T) {
	r := golden()
	r.GrantedTo = GrantedTo{Client: "0011223344556677"}
	back := copiedByAnOlderProgram(t, r)
	if back.Version != 43 || back.GrantedTo != (GrantedTo{}) {
		t.Errorf("version %d, granted to %+v", back.Version, back.GrantedTo)
	}
}

// copiedByAnOlderProgram is the version after r, as a program stores it that
// copies the fields which it does not know.
func copiedByAnOlderProgram(t *testing.T, r Record) Record {
	t.Helper()
	b, err := seal(r)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	delete(fields, "sum")
	fields["version"] = json.RawMessage("43")
	if b, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	next, err := open(r.Account, sign(b))
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// A login that waits goes on waiting under a program that does not know such: it
// has not decided about it.
func TestCandidateThatAnOlderProgramCopied(t *testing.T) {
	r := golden()
	r.Candidate = &Candidate{Token: tokenOf(7), LoginAt: r.LoginAt, Attempt: "login", GrantedTo: GrantedTo{Person: Person{Fingerprint: "0011223344556677", Name: "bob"}}}
	back := copiedByAnOlderProgram(t, r)
	if back.Version != 43 || !reflect.DeepEqual(back.Candidate, r.Candidate) {
		t.Errorf("version %d, candidate %+v, want %+v", back.Version, back.Candidate, r.Candidate)
	}
}
