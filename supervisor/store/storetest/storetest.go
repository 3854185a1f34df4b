// Package storetest is the contract of a [store.Store] as a test suite. A
// backend joins in a few lines:
//
//	storetest.Run(t, func(t testing.TB) storetest.Opener {
//		dir := filepath.Join(t.TempDir(), "state")
//		return func() (store.Store, error) { return store.Open(dir, store.Options{}) }
//	})
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Opener opens one and the same place anew, as a new process would, after the
// store that it returned before has been closed.
type Opener func() (store.Store, error)

// Place makes an empty place to store in.
type Place func(t testing.TB) Opener

// Run runs the whole suite.
func Run(t *testing.T, place Place) {
	tests := []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"RecordSurvives", testRecordSurvives},
		{"UnknownFieldsSurvive", testUnknownFieldsSurvive},
		{"Fingerprints", testFingerprints},
		{"ListIsOrdered", testListIsOrdered},
		{"Refusals", testRefusals},
		{"RefreshTokenIsKept", testRefreshTokenIsKept},
		{"IntentSurvives", testIntentSurvives},
		{"AbandonStoresHealth", testAbandonStoresHealth},
		{"RefusalWithoutARecord", testRefusalWithoutARecord},
		{"BeforeIsGivenBack", testBeforeIsGivenBack},
		{"Lineage", testLineage},
		{"Evidence", testEvidence},
		{"LeftOpen", testLeftOpen},
		{"CandidateBeside", testCandidateBeside},
		{"Login", testLogin},
		{"Requests", testRequests},
		{"Pause", testPause},
		{"Ledger", testLedger},
		{"Tries", testTries},
		{"Alerts", testAlerts},
		{"Rename", testRename},
		{"RenameBack", testRenameBack},
		{"RenameRefused", testRenameRefused},
		{"Forget", testForget},
		{"Hold", testHold},
		{"HeldDeliveries", testHeldDeliveries},
		{"EndedContext", testEndedContext},
		{"Closed", testClosed},
		{"UnknownOutcome", testUnknownOutcome},
		{"EveryVersionOnce", testEveryVersionOnce},
		{"ReadersWhileWriting", testReadersWhileWriting},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, place(t)) })
	}
	t.Run("Model", func(t *testing.T) { testModel(t, place) })
}

// start is the moment at which the tests' tokens begin.
var start = time.Date(2026, 3, 29, 0, 59, 59, 123456789, time.UTC)

// Token is the nth token of an account; no two are alike.
func Token(account string, n uint64) sdk.Token {
	return sdk.Token{
		AccessToken:     sdk.NewSecret(fmt.Sprintf("access-%s-%d", account, n)),
		RefreshToken:    sdk.NewSecret(fmt.Sprintf("refresh-%s-%d", account, n)),
		IDToken:         sdk.NewSecret(fmt.Sprintf("id-%s-%d", account, n)),
		TokenType:       "Bearer",
		Scope:           "api <all> & \"é\"",
		IssuedAt:        start.Add(time.Duration(n) * 20 * time.Minute),
		Lifetime:        20*time.Minute + time.Nanosecond,
		Uncertain:       n%2 == 1,
		RefreshLifetime: time.Hour,
		Skew:            -1500 * time.Millisecond,
		Extra:           map[string]string{"base_uri": "https://gateway.example/sim"},
		Private:         map[string]sdk.Secret{"code_verifier": sdk.NewSecret("verifier")},
	}
}

// First is an account's first record, with every field set.
func First(account string) store.Record {
	r := store.Record{Account: account, Provider: "saxo"}.Next(Token(account, 1), store.OriginLogin, "a1", start)
	r.LoginAt, r.LoginUncertain, r.RefreshExpiry = start.Add(-time.Hour), true, start.Add(7*24*time.Hour)
	r.Fingerprints = []string{"0123456789abcdef"}
	r.Health = store.Health{
		Failures: 3, Halves: 2, LastError: "the broker was away", LastKind: sdk.KindRateLimited,
		LastFailure: start.Add(time.Minute), NeedsLogin: "fedcba9876543210", Ambiguous: start.Add(time.Second),
	}
	return r
}

// Records are those of all accounts, ordered by account, which must be as their heads say.
func Records(ctx context.Context, s store.Store) (all []store.Record, err error) {
	heads, err := s.Heads(ctx)
	for _, h := range heads {
		r, lerr := s.Load(ctx, h.Account)
		if lerr == nil && (r.Account != h.Account || r.Provider != h.Provider || r.Version != h.Version || !r.StoredAt.Equal(h.StoredAt)) {
			lerr = fmt.Errorf("the head %+v is not that of version %d of account %s", h, r.Version, r.Account)
		}
		all, err = append(all, r), errors.Join(err, lerr)
	}
	return all, err
}

// ledger is what the ledger says of a sink and an account.
func ledger(t testing.TB, s store.Store, sink, account string) store.Delivery {
	t.Helper()
	d, err := s.Delivery(t.Context(), sink, account)
	must(t, err)
	return d
}

// at is a version of an account's first grant, as a basis.
func at(version uint64) store.Basis { return store.Basis{Version: version, Grant: 1} }

// Forget forgets what stands of an account.
func Forget(ctx context.Context, s store.Store, account string) error {
	rec, err := s.Load(ctx, account)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	in, _, err := s.Intent(ctx, account)
	return errors.Join(err, s.Forget(ctx, account, in.Attempt, rec.Basis()))
}

func open(t testing.TB, o Opener) store.Store {
	t.Helper()
	s, err := o()
	must(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// reopen closes s and opens its place again.
func reopen(t testing.TB, s store.Store, o Opener) store.Store {
	t.Helper()
	must(t, s.Close())
	return open(t, o)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
