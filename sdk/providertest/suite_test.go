package providertest_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// A provider that knows nothing of package oauth or of the spool passes: the
// SDK spools for it.
func TestPlainProvider(t *testing.T) {
	t.Parallel()
	providertest.Run(t, suite(plain{}))
}

// TestMain lets the tests' own program be a provider of which the suite knows nothing
// but the program.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "provider" {
		sdk.Serve(broken[os.Args[2]].provider)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is the suite of a provider that is a program alone: one of those that are
// broken.
func program(name string) providertest.Suite {
	return providertest.Suite{
		Program: []string{os.Args[0], "provider", name},
		Account: sdk.Account{ClientID: "app", ClientSecret: sdk.NewSecret("secret")},
	}
}

// A program alone is held to the same rules, but for those that look at a provider from
// within, as this one would be found by.
func TestProgramAlone(t *testing.T) {
	t.Parallel()
	providertest.Run(t, program("network in Describe"))
}

func TestBrokenProgramsAreFound(t *testing.T) {
	eachIsFound(t, map[string]brokenSuite{
		"retries":         {program("retries"), broken["retries"].foundBy},
		"one at a time":   {program("one at a time"), broken["one at a time"].foundBy},
		"dies of signals": {program("dies of signals"), broken["dies of signals"].foundBy},
	}, false)
}

func suite(p sdk.Provider) providertest.Suite {
	return providertest.Suite{
		New:     func() sdk.Provider { return p },
		Account: sdk.Account{ClientID: "app", ClientSecret: sdk.NewSecret("secret")},
	}
}

// broken are providers with one mistake each, and the subtest that finds it.
var broken = map[string]struct {
	provider sdk.Provider
	foundBy  string
}{
	"retries":              {retries{}, "OnePostPerAttempt/HTML500"},
	"follows redirects":    {plain{followRedirects: true}, "OnePostPerAttempt/Redirect307"},
	"prints bodies":        {plain{printBody: true}, "OnePostPerAttempt/JSON500"},
	"believes HTML":        {plain{searchBody: true}, "OnePostPerAttempt/HTML400"},
	"ambiguity is lost":    {plain{allTransient: true}, "OnePostPerAttempt/LostAnswer"},
	"keeps the old":        {plain{keepOld: true}, "NoRefreshTokenInAnswer"},
	"one at a time":        {&serial{}, "Concurrent"},
	"network in Describe":  {wired{}, "Describe"},
	"no name":              {nameless{}, "Describe"},
	"forgets the lifetime": {timeless{}, "Refresh"},
	"dies of signals":      {mortal{}, "Signals"},
}

// A suite that passes everything would be worth nothing: each broken provider
// runs in a process of its own, which must fail in the right place. A short run
// goes there straight.
func TestBrokenProvidersAreFound(t *testing.T) {
	suites := map[string]brokenSuite{}
	for name, b := range broken {
		suites[name] = brokenSuite{suite(b.provider), b.foundBy}
	}
	eachIsFound(t, suites, !testing.Short())
}

// brokenSuite is one that a provider fails, and the subtest that finds its mistake.
type brokenSuite struct {
	suite   providertest.Suite
	foundBy string
}

// eachIsFound runs each suite in a process of its own, the whole of it or only the
// place in which it must fail.
func eachIsFound(t *testing.T, broken map[string]brokenSuite, whole bool) {
	t.Helper()
	if name := os.Getenv("BROKEN_PROVIDER"); name != "" {
		providertest.Run(t, broken[name].suite)
		return
	}
	t.Parallel()
	test := t.Name()
	for name, tt := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pattern := "^" + test + "$"
			if !whole {
				pattern += "/^" + strings.ReplaceAll(tt.foundBy, "/", "$/^") + "$"
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern)
			cmd.Env = append(os.Environ(), "BROKEN_PROVIDER="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite let it pass")
			}
			if !strings.Contains(string(out), "--- FAIL: "+test+"/"+tt.foundBy+" ") {
				t.Errorf("not found by %s:\n%s", tt.foundBy, out)
			}
		})
	}
}
