// Package providertest is the conformance suite for broker plugins. A
// provider's own test calls it:
//
//	func TestConformance(t *testing.T) {
//		providertest.Run(t, providertest.Suite{
//			New:     func() sdk.Provider { return mybroker.New() },
//			Account: sdk.Account{ClientID: "app", ClientSecret: sdk.NewSecret("secret"), RedirectURL: "https://127.0.0.1"},
//		})
//	}
//
// The suite runs the provider as the supervisor does: over the wire contract,
// with a real spool, through the death of its process, and as a process of its
// own that is sent signals. The authorization
// server that it speaks to is the suite's own and misbehaves on purpose.
package providertest

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Suite says which provider to test and how its broker talks. Only New is
// required.
type Suite struct {
	// New returns a provider as it is in a fresh process.
	New func() sdk.Provider
	// Program is the provider's program with its arguments, for the rules that
	// need a process of its own. Nil: the test's own program is run once more,
	// with this test, in which Run then serves the provider.
	Program []string
	// Account to act for. Its Name and, without PointTo, its setting token_url
	// are the suite's to choose.
	Account sdk.Account
	// PointTo makes the account use the suite's token endpoint; nil: by the
	// setting token_url.
	PointTo func(account *sdk.Account, tokenURL string)
	// Private is the Token.Private that a refresh of this provider starts
	// from.
	Private map[string]sdk.Secret
	// Broker is how the provider's broker answers; its zero value is RFC 6749.
	Broker Broker

	born time.Time // of the suite's JWTs
	way  way       // of the provider
}

// Lifetime of every access token that the suite's server hands out.
const Lifetime = 1234 * time.Second

// These must never show in an error's text.
const (
	oldAccess    = "canary-old-access-token"
	oldRefresh   = "canary-old-refresh-token"
	newRefresh   = "canary-new-refresh-token"
	newAccess    = "canary-new-access-token"
	clientSecret = "canary-client-secret"
	bodyText     = "canary-body-text"
)

// Run runs the whole suite, each rule as a subtest of its own.
func Run(t *testing.T, s Suite) {
	t.Helper()
	s.serveIfAsked(t)
	s = s.complete()
	s.way = s.wayOf(t)
	next := "Refresh"
	if s.way == renews {
		next = "Renew"
	}
	rules := []struct {
		name  string
		check func(*testing.T, Suite)
	}{
		{next, testNext},
		{"Rotation", testRotation},
		{"NoRefreshTokenInAnswer", testNoRefreshToken},
		{"NoRefreshTokenIsThrownAway", testOddSuccesses},
		{"Wording", testWording},
		{"ErrorInsideSuccess", testErrorInsideSuccess},
		{"OnePostPerAttempt", testFailures},
		{"SameAttemptAgain", testSameAttempt},
		{"Recovery", testRecovery},
		{"DeathWithOpenRequest", testDeathInOpenWindow},
		{"UnsettledBlocks", testUnsettledBlocks},
		{"SpoolIsNamed", testSpoolIsNamed},
		{"NothingListens", testNothingListens},
		{"Concurrent", testConcurrent},
		{"Login", testLogin},
		{"Signals", testSignals},
		{"LifelineInMidRequest", testLifelineInMidRequest},
		{"LentLock", testLentLock},
		{"LockIsHandedOver", testLockIsHandedOver},
		{"LockIsFreedIfNobodyComes", testLockIsFreed},
	}
	t.Run("Describe", func(t *testing.T) { testDescribe(t, s) })
	t.Run("Lifeline", func(t *testing.T) { testLifeline(t, s) })
	for _, rule := range rules {
		if s.way == none {
			break // it sends nothing
		}
		t.Run(rule.name, func(t *testing.T) { rule.check(t, s) })
	}
}

func (s Suite) complete() Suite {
	s.born = time.Now().Truncate(time.Second)
	if s.Account.ClientID == "" {
		s.Account.ClientID = "app"
	}
	if !s.Account.ClientSecret.IsZero() {
		s.Account.ClientSecret = sdk.NewSecret(clientSecret)
	}
	if s.PointTo == nil {
		s.PointTo = func(a *sdk.Account, tokenURL string) { a.Settings["token_url"] = tokenURL }
	}
	if s.Broker.Success == nil {
		s.Broker.Success = func(access, refresh string) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":%d}`,
				access, refresh, Lifetime/time.Second)
		}
	}
	if s.Broker.InvalidClient == nil {
		s.Broker.InvalidClient = func() (int, string) { return 401, `{"error":"invalid_client"}` }
	}
	if s.Broker.InvalidGrant == nil {
		s.Broker.InvalidGrant = func() (int, string) {
			return 400, `{"error":"invalid_grant","error_description":"` + bodyText + `"}`
		}
	}
	return s
}

func (s Suite) account(name string, b *broker) sdk.Account {
	a := s.Account
	a.Name = name
	a.Settings = maps.Clone(a.Settings)
	if a.Settings == nil {
		a.Settings = map[string]string{}
	}
	s.PointTo(&a, b.url())
	return a
}

// request is what one attempt of account "main" is made with.
func (s Suite) request(attempt string, b *broker) sdk.RefreshRequest {
	req := sdk.RefreshRequest{
		Attempt: sdk.Attempt{ID: attempt, Version: 3, Deadline: time.Now().Add(10 * time.Second)},
		Account: s.account("main", b),
		Token: sdk.Token{
			AccessToken: sdk.NewSecret(oldAccess), RefreshToken: sdk.NewSecret(s.given(oldRefresh)),
			IssuedAt: time.Now().Add(-Lifetime / 2), Lifetime: Lifetime, Private: maps.Clone(s.Private),
		},
	}
	if s.way != logsIn {
		req.Attempt.Fingerprint = sdk.NewSecret(s.spent(req)).Fingerprint()
	}
	return req
}
