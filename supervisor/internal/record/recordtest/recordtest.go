// Package recordtest has records, intents and logins for tests, and compares them as they
// are stored.
package recordtest

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
)

// Golden is a record as the files in testdata hold.
func Golden() record.Record {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	return record.Record{
		Account: "saxo-live", Provider: "saxo", Version: 42, Origin: record.OriginRefresh, Attempt: "0197c5a0-attempt", StoredAt: at,
		LoginAt: at.Add(-48 * time.Hour), LoginUncertain: true, RefreshExpiry: at.Add(time.Hour),
		Fingerprints: []string{"0123456789abcdef", "fedcba9876543210"},
		Token: sdk.Token{
			AccessToken: sdk.NewSecret("access <&> token"), RefreshToken: sdk.NewSecret("refresh token"), IDToken: sdk.NewSecret("id token"),
			TokenType: "Bearer", Scope: "api", IssuedAt: at.Add(-time.Second),
			Lifetime: 20 * time.Minute, RefreshLifetime: time.Hour, Skew: -1500 * time.Millisecond,
			Extra:   map[string]string{"base_uri": "https://gateway.example/live"},
			Private: map[string]sdk.Secret{"code_verifier": sdk.NewSecret("verifier")},
		},
		Health: record.Health{
			Failures: 2, LastError: "HTTP 503", LastKind: sdk.KindTransient, LastFailure: at.Add(-time.Minute),
			NeedsLogin: "0011223344556677", Ambiguous: at.Add(-2 * time.Minute),
		},
		Unknown: map[string][]byte{"tier": []byte(`{"level":9007199254740993}`)},
	}
}

// GoldenIntent announces a replay.
func GoldenIntent() record.Intent {
	at := Golden().StoredAt
	return record.Intent{
		Account: "saxo-live", Provider: "saxo", Attempt: "0197c5a1-attempt", Kind: "refresh", Version: 42,
		Fingerprint: "8899aabbccddeeff", At: at.Add(time.Minute), Boot: "boot-id",
		Replays: "0197c5a0-replayed", AmbiguousSince: at.Add(30 * time.Second),
	}
}

// Whole has every field set, those too that a newer program wrote.
func Whole() record.Record {
	r := Golden()
	at := r.StoredAt
	r.Token.Uncertain = true
	r.Health.Halves = 1
	r.Health.KeyRefused = "aabbccddeeff0011"
	r.Health.RevokeAsked = r.StoredAt.Add(time.Minute)
	r.Health.Revoked = r.Health.RevokeAsked.Add(time.Second)
	r.Way = record.WayRenew
	r.GrantedTo = record.GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example", Servers: "token_url=sim.logonvalidation.example",
		Person: record.Person{Fingerprint: "2233445566778899", Name: "alice"}}
	r.AcceptedSecret = "ccddeeff00112233"
	r.FoundIn = "the file of sink bot"
	r.Grant, r.Parent = 7, "0123456789abcdef"
	r.Past = []byte("eight by" + "tes each")
	token := func(name string) sdk.Token {
		t := r.Token
		t.AccessToken, t.RefreshToken = sdk.NewSecret("access "+name), sdk.NewSecret("refresh "+name)
		return t
	}
	r.Before = []record.Before{
		{Token: token("found"), LoginAt: at.Add(-time.Hour), LoginUncertain: true, RefreshExpiry: at.Add(2 * time.Hour), FoundIn: "the shared file /srv/bot.json", GrantedTo: r.GrantedTo},
		{Token: token("proven"), LoginAt: at.Add(-48 * time.Hour), RefreshExpiry: at.Add(time.Hour), GrantedTo: record.GrantedTo{Client: "8899aabbccddeeff"}},
	}
	r.Evidence = []record.Evidence{{
		Attempt: "0197c59f-attempt", Kind: "refresh", Version: 40, Grant: 6, Parent: "fedcba9876543210", Token: token("late"), GrantedTo: r.GrantedTo,
		At: at.Add(time.Second), Until: at.Add(time.Second + record.EvidenceLife), Why: "it was begun from version 40, and version 42 has come since, by <an import>",
	}}
	r.Candidate = &record.Candidate{
		Token: token("another person's"), LoginAt: at.Add(2 * time.Second), RefreshExpiry: at.Add(3 * time.Hour), Attempt: "0197c59e-attempt",
		GrantedTo: record.GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example", Servers: "region=&token_url=",
			Person: record.Person{Fingerprint: "99aabbccddeeff00", Name: "bob", Assumed: true}},
	}
	return r
}

// WholeIntent is of a login that stands over a replay.
func WholeIntent() record.Intent {
	before := GoldenIntent()
	before.Grant, before.Spool, before.Until = 7, "spool-id", before.At.Add(35*time.Second)
	before.Sends, before.SentAt, before.Unread, before.UnreadAttempt = 3, before.At, true, "the-one-nobody-could-read"
	before.Secrets, before.ClientRefused = "ffee001122334455", "eeff001122334455"
	before.Unknown = `{"lease":{"keeper":"b"}}`
	return record.Intent{
		Account: before.Account, Provider: before.Provider, Attempt: "0197c5a2-attempt", Kind: "exchange", Version: 42, Grant: 7,
		At: before.At.Add(time.Minute), Boot: "boot-id", Spool: "spool-id", Until: before.At.Add(95 * time.Second), Secret: "ddeeff0011223344",
		Login: "state-of-the-login", Before: &before, Unknown: `{"lease":{"keeper":"a"}}`,
	}
}

// WholeLogin has every field set.
func WholeLogin() record.Login {
	at := Golden().StoredAt
	return record.Login{
		Account: "saxo-live", State: "state", URL: "https://sim.logonvalidation.example/authorize?state=state&x=<1>", Verifier: sdk.NewSecret("verifier"),
		Issuer: "https://sim.logonvalidation.example", At: at, Until: at.Add(15 * time.Minute),
		By:        event.Caller{UID: 1000, PID: 4711, Program: "/usr/bin/tokenkeeper"},
		GrantedTo: record.GrantedTo{Client: "0011223344556677", Environment: "live", TokenHost: "sim.logonvalidation.example", Servers: "region=eu&token_url="},
		Config:    "7766554433221100",
		Guided: sdk.Login{
			Shape: sdk.LoginDevice, Address: "https://sim.logonvalidation.example/device?x=<1>", Instructions: "Type the code.", UserCode: "WDJB-MJHT",
			Expires: at.Add(30 * time.Minute), PollEvery: 5 * time.Second, Private: map[string]sdk.Secret{"device_code": sdk.NewSecret("device")},
		},
		Given: sdk.NewSecret("given"),
	}
}

// WholeRequests have every field set.
func WholeRequests() []record.Request {
	at := Golden().StoredAt
	return []record.Request{{Attempt: "0197c59f-attempt", At: at, Up: time.Hour, Boot: "boot-id", Failed: true, Poll: "8899aabbccddeeff"}, {Attempt: "0197c5a2-attempt", At: at.Add(time.Minute)}}
}

// WholePause has every field set.
func WholePause() record.Pause {
	at := Golden().StoredAt
	return record.Pause{Since: at, Until: at.Add(2 * time.Hour), By: WholeLogin().By, Reason: "the broker <moves>"}
}

// Token is the n-th of a row.
func Token(n int) sdk.Token {
	return sdk.Token{AccessToken: sdk.NewSecret(fmt.Sprint("a", n)), RefreshToken: sdk.NewSecret(fmt.Sprint("r", n))}
}

// CheckSame compares two records as they are stored, secrets and all.
func CheckSame(t *testing.T, got, want record.Record) {
	t.Helper()
	want.Grant = max(want.Grant, 1) // one that tells none is of the first
	g, err := record.Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := record.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}
