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
// A provider in another language is tested by its program alone:
//
//	providertest.Run(t, providertest.Suite{Program: []string{"./tokenkeeper-provider-mybroker"}})
//
// The suite runs the provider as the supervisor does: over the wire contract,
// with a real spool, through the death of its process, and as a process of its
// own that is sent signals. The authorization
// server that it speaks to is the suite's own and misbehaves on purpose.
package providertest

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Suite says which provider to test and how its broker talks. New or Program is
// required, and nothing else.
type Suite struct {
	// New returns a provider as it is in a fresh process. Nil: all rules are held
	// against processes of Program, and the few that look at a provider from within
	// are left out.
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
	// MintBroker and LoginBroker word the requests of Mint and EndLogin, and their
	// answers, where they are others than those of Broker; nil: they are not.
	MintBroker, LoginBroker *Broker
	// HandIn is what a person, or the broker, hands in to end a login of a shape, with
	// secret in it: a code, a verifier, a token. Nil: for an address that is pasted the
	// redirect address with secret as its code and a state, otherwise secret itself.
	HandIn func(shape sdk.LoginShape, secret string) string
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
	if s.New == nil && len(s.Program) == 0 {
		t.Fatal("providertest: set New or Program")
	}
	serveIfAsked(t, s.New)
	all := newTrial(t, s)
	turns := turnsOf(all.described)
	first := all.on(turns[0])
	t.Run("Describe", func(t *testing.T) { testDescribe(t, first) })
	t.Run("Lifeline", func(t *testing.T) { testLifeline(t, first) })
	first.hold(t, attemptRules, processRules)
	t.Run("BeginLogin", func(t *testing.T) { testBeginLogin(t, first) })
	t.Run("KeepAlive", func(t *testing.T) { testKeepAlive(t, first) })
	t.Run("Revoke", func(t *testing.T) { testRevoke(t, first) })
	for _, other := range turns[1:] {
		also := all.on(other)
		t.Run("Also"+also.name(), func(t *testing.T) { also.hold(t, attemptRules) })
	}
}

// rule is one subtest. The rule without a name is called as one attempt is.
type rule struct {
	name  string
	check func(*testing.T, trial)
}

// attemptRules are held for each way in which the provider gets tokens.
var attemptRules = []rule{
	{"", testNext},
	{"MintNeedsNoToken", testMintNeedsNoToken},
	{"Pending", testPending},
	{"ForgedPost", testForgedPost},
	{"Rotation", testRotation},
	{"NoRefreshTokenInAnswer", testNoRefreshToken},
	{"NoRefreshTokenIsThrownAway", testOddSuccesses},
	{"UnreadIsKept", testUnreadIsKept},
	{"Wording", testWording},
	{"ErrorInsideSuccess", testErrorInsideSuccess},
	{"OnePostPerAttempt", testFailures},
	{"SameAttemptAgain", testSameAttempt},
	{"Recovery", testRecovery},
	{"Killed", testKilled},
	{"DeathWithOpenRequest", testDeathInOpenWindow},
	{"UnsettledBlocks", testUnsettledBlocks},
	{"NothingListens", testNothingListens},
	{"Concurrent", testConcurrent},
}

// processRules are about the provider's process and know no ways: one is enough.
var processRules = []rule{
	{"SpoolIsNamed", testSpoolIsNamed},
	{"Login", testLogin},
	{"Signals", testSignals},
	{"LifelineInMidRequest", testLifelineInMidRequest},
	{"LentLock", testLentLock},
	{"LockIsHandedOver", testLockIsHandedOver},
	{"LockIsFreedIfNobodyComes", testLockIsFreed},
}

// complete fills in what is left out.
func (s Suite) complete() Suite {
	if s.Account.ClientID == "" {
		s.Account.ClientID = "app"
	}
	if !s.Account.ClientSecret.IsZero() {
		s.Account.ClientSecret = sdk.NewSecret(clientSecret)
	}
	if s.PointTo == nil {
		s.PointTo = func(a *sdk.Account, tokenURL string) { a.Settings["token_url"] = tokenURL }
	}
	return s
}
