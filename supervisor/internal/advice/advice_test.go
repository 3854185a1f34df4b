package advice_test

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
)

// Nobody is sent to a login that the provider does not have.
func TestOnlyWhatTheProviderHasIsAdvised(t *testing.T) {
	const fromFile = "take one from a token file with: tokenkeeper import a FILE"
	for _, c := range []struct {
		token                             advice.Token
		command, with, again, first, need string
	}{
		{
			advice.Token{Account: "a"}, "tokenkeeper login a", "log in with: tokenkeeper login a", "log in again with: tokenkeeper login a",
			"log in with: tokenkeeper login a, or " + fromFile, "a login",
		},
		{
			advice.Token{Account: "a", Stands: true}, "tokenkeeper login a", "log in with: tokenkeeper login a", "log in again with: tokenkeeper login a",
			"log in with: tokenkeeper login a, or " + fromFile, "a login",
		},
		{
			advice.Token{Account: "a", Means: advice.Import}, "tokenkeeper import a FILE", "import a token with: tokenkeeper import a FILE",
			"import a token again with: tokenkeeper import a FILE", fromFile, "another token from a file",
		},
		{
			advice.Token{Account: "a", Means: advice.Import, Stands: true}, "tokenkeeper import a FILE --force", "import a token with: tokenkeeper import a FILE --force",
			"import a token again with: tokenkeeper import a FILE --force", fromFile, "another token from a file",
		},
		{
			advice.Token{Account: "a", Means: advice.Key}, "tokenkeeper refresh a --force", advice.MendKey("a"),
			advice.MendKey("a"), advice.MendKey("a"), "a key that the broker takes",
		},
	} {
		got := [5]string{c.token.Command(), c.token.With(""), c.token.With("again"), c.token.First(), c.token.Needs()}
		if got != [5]string{c.command, c.with, c.again, c.first, c.need} {
			t.Errorf("%+v: %q", c.token, got)
		}
	}
}
