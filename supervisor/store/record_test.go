package store

import (
	"bytes"
	"errors"
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
	return Delivery{Sink: "bot", Account: "saxo-live", Version: 42, At: golden().StoredAt.Add(time.Second), Latency: 3 * time.Millisecond, Consumer: "socket 1a-2b-3c"}
}

// goldenTried came after goldenDelivery.
func goldenTried() Tried {
	return Tried{
		Sink: "bot", Account: "saxo-live", Version: 43, At: golden().StoredAt.Add(time.Minute),
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
		{"another account", `"saxo-live"`, `"saxo-sim"`, ErrDamaged},
		{"version zero", `"version":42`, `"version":0`, ErrDamaged},
		{"wrong kind", `"refresh_token":"refresh token"`, `"refresh_token":["SECRET"]`, ErrDamaged},
		{"bad duration", `"20m0s"`, `"SECRET"`, ErrDamaged},
		{"not JSON", `{"account"`, `SECRET{"account"`, ErrDamaged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := strings.Replace(string(whole), tt.old, tt.new, 1)
			if b == string(whole) {
				t.Fatalf("%s is not in the record", tt.old)
			}
			_, err := open("saxo-live", []byte(b))
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
			if err != nil && (strings.Contains(err.Error(), "SECRET") || !strings.Contains(err.Error(), "saxo-live")) {
				t.Errorf("the error must name the account and no content: %v", err)
			}
		})
	}
}

func FuzzOpenRecord(f *testing.F) {
	whole, err := seal(golden())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"account":"saxo-live","version":1,"VERSION":2,"token":{},"x":null}`))
	f.Add([]byte(`{"account":"saxo-live","version":1,"token":{"private":{"a":""},"lifetime":"-1ns"}}`))
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
