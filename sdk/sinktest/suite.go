// Package sinktest is the conformance suite for sinks that are plugins. A
// sink's own test calls it:
//
//	func TestConformance(t *testing.T) {
//		sinktest.Run(t, sinktest.Suite{
//			New:      func() sdk.Sink { return mysink.New() },
//			Settings: func(t *testing.T) sdk.Settings { return startServer(t).settings() },
//			Stored:   func(t *testing.T, s sdk.Settings, account string) string { return read(t, s, account) },
//			Missing:  func(*testing.T) sdk.Settings { return nowhere },
//		})
//	}
//
// The suite calls the sink as the supervisor does: over the wire contract, and
// with Program through the real handshake with a real process.
package sinktest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Suite says which sink to test and where it delivers to. Settings and one of
// New and Program are required.
type Suite struct {
	// New returns a sink as it is in a fresh process.
	New func() sdk.Sink
	// Program is the sink's program with its arguments: it is started with the
	// real handshake. If both are set, the whole suite runs with each.
	Program []string

	// Settings lead to a destination that is in order and holds nothing. It is
	// called for each rule.
	Settings func(t *testing.T) sdk.Settings
	// Stored returns what the destination holds of the account now, as raw
	// text, and "" if that is nothing; nil: what arrives is not looked at.
	Stored func(t *testing.T, s sdk.Settings, account string) string
	// Lose has the destination lose all that it holds; nil: it is not tried.
	Lose func(t *testing.T, s sdk.Settings)
	// Missing are settings that lead to a destination that is not there; nil:
	// it can't be missing.
	Missing func(t *testing.T) sdk.Settings
	// Hanging are settings that lead to a destination that takes a connection
	// and never answers; nil: it can't hang.
	Hanging func(t *testing.T) sdk.Settings
	// Secrets are more texts that must never show in an error or in the log,
	// like a password among the settings.
	Secrets []string
}

// Run runs the whole suite, each rule as a subtest of its own.
func Run(t *testing.T, s Suite) {
	t.Helper()
	rules := []rule{
		{"Describe", testDescribe},
		{"RequiredSettings", testRequiredSettings},
		{"Deliver", testDeliver},
		{"SameAgain", testSameAgain},
		{"AccessTokenOnly", testAccessTokenOnly},
		{"ConcurrentAccounts", testConcurrent},
		{"ContextEnded", testContextEnded},
		{"Hanging", testHanging},
		{"Missing", testMissing},
		{"Restore", testRestore},
		{"Holds", testHolds},
		{"Test", testTest},
		{"Notify", testNotify},
	}
	processRules := []rule{ // which a process of its own is needed for
		{"Signals", testSignals},
		{"Lifeline", testLifeline},
		{"LifelineInMidDelivery", testLifelineInMidDelivery},
	}
	if s.Settings == nil || (s.New == nil && len(s.Program) == 0) {
		t.Fatal("sinktest: set Settings, and New or Program")
	}
	if s.New != nil {
		t.Run("InProcess", func(t *testing.T) { s.run(t, s.inProcess, rules) })
	}
	if len(s.Program) > 0 {
		t.Run("Program", func(t *testing.T) { s.run(t, s.program, append(slices.Clip(rules), processRules...)) })
	}
}

// rule is one of the contract's.
type rule struct {
	name  string
	check func(*testing.T, *tested)
}

func (s Suite) run(t *testing.T, begin func(*testing.T) running, rules []rule) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			var log fmt.Stringer
			t.Cleanup(func() { // after the process has ended, which begin's own cleanup does
				if log == nil {
					return // it did not start
				}
				if found := s.secretIn(log.String()); found != "" {
					t.Errorf("the log holds a secret (%s)", found)
				}
			})
			r := &tested{Suite: s}
			r.running = begin(t)
			log = r.log
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var err error
			if r.description, err = r.sink.DescribeSink(ctx); err != nil {
				t.Fatalf("Describe: %v", err)
			}
			rule.check(t, r)
		})
	}
}

// tested is a sink that runs.
type tested struct {
	Suite
	running
	description sdk.SinkDescription
}

// canary is in every secret of the suite.
const canary = "canary0sinktest"

func accessToken(account string, version int) string {
	return fmt.Sprintf("access-%s-%s-%d-end", canary, account, version)
}

func refreshToken(account string, version int) string {
	return fmt.Sprintf("refresh-%s-%s-%d-end", canary, account, version)
}

// request is the delivery of one version, with all that a sink may see. Its
// content is the JSON that sinks get unless the configuration says otherwise.
func request(settings sdk.Settings, account string, version int) sdk.DeliverRequest {
	issued := time.Now().Truncate(time.Second).Add(time.Duration(version) * time.Second)
	access, refresh := accessToken(account, version), refreshToken(account, version)
	return sdk.DeliverRequest{
		ID: fmt.Sprintf("msg_%s_%d", account, version), Sink: "tested", Settings: settings,
		Account: account, Provider: "broker", Version: uint64(version),
		Token: sdk.Token{
			AccessToken: sdk.NewSecret(access), RefreshToken: sdk.NewSecret(refresh), TokenType: "Bearer",
			IssuedAt: issued, Lifetime: 30 * time.Minute,
		},
		RefreshExpiry: issued.Add(24 * time.Hour),
		Content: sdk.NewSecret(fmt.Sprintf(
			`{"account":%q,"provider":"broker","version":%d,"access_token":%q,"refresh_token":%q,"token_type":"Bearer","issued_at":%d,"expires_at":%d}`,
			account, version, access, refresh, issued.Unix(), issued.Add(30*time.Minute).Unix())),
	}
}

// bare is a delivery as a sink gets it that may not see the refresh token.
func bare(settings sdk.Settings, account string, version int) sdk.DeliverRequest {
	r := request(settings, account, version)
	r.Token.RefreshToken, r.RefreshExpiry = sdk.Secret{}, time.Time{}
	r.Content = sdk.NewSecret(fmt.Sprintf(`{"account":%q,"provider":"broker","version":%d,"access_token":%q,"token_type":"Bearer"}`,
		account, version, accessToken(account, version)))
	return r
}

// secretIn returns which secret stands in text; "" for none.
func (s Suite) secretIn(text string) string {
	if strings.Contains(text, canary) {
		return "a token"
	}
	for i, secret := range s.Secrets {
		if secret != "" && strings.Contains(text, secret) {
			return fmt.Sprintf("number %d of Secrets", i)
		}
	}
	return ""
}

// tells fails the test if err holds a secret.
func (s Suite) tells(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if found := s.secretIn(err.Error()); found != "" {
		t.Errorf("an error tells a secret (%s)", found)
	}
}
