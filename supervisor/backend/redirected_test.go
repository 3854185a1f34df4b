package backend

import (
	"strings"
	"testing"
)

func TestPastedAddress(t *testing.T) {
	const here = "https://127.0.0.1:8182"
	for name, c := range map[string]struct{ pasted, redirectURL, says string }{
		"as it comes":                  {"https://127.0.0.1:8182/?code=c&state=s", here, ""},
		"without the slash":            {"https://127.0.0.1:8182?code=c&state=s&session=x", here, ""},
		"with an issuer":               {"https://127.0.0.1:8182/?code=c&state=s&iss=https%3A%2F%2Fb.example", here, ""},
		"a path":                       {"http://localhost:8765/callback?state=s&code=c", "http://localhost:8765/callback", ""},
		"a port that needs no telling": {"https://BOTS.example/cb?code=c&state=s", "https://bots.example:443/cb", ""},
		"another scheme":               {"http://127.0.0.1:8182/?code=c&state=s", here, "does not begin with the account's redirect_url"},
		"another host":                 {"https://127.0.0.2:8182/?code=c&state=s", here, "does not begin with"},
		"another port":                 {"https://127.0.0.1/?code=c&state=s", here, "does not begin with"},
		"another path":                 {"https://127.0.0.1:8182/other?code=c&state=s", here, "does not begin with"},
		"a name in front of the host":  {"https://127.0.0.1:8182@evil.example/?code=c&state=s", here, "does not begin with"},
		"two codes":                    {"https://127.0.0.1:8182/?code=c&state=s&code=canary", here, "more than one code"},
		"two states":                   {"https://127.0.0.1:8182/?state=a&code=canary&state=s", here, "more than one state"},
		"two issuers":                  {"https://127.0.0.1:8182/?state=a&code=canary&iss=a&iss=b", here, "more than one iss"},
		"a refusal":                    {"https://127.0.0.1:8182/?error=access_denied&state=s", here, "without a code"},
		"no state":                     {"https://127.0.0.1:8182/?code=canary", here, "no code or no state"},
		"a damaged query":              {"https://127.0.0.1:8182/?code=canary%zz&state=s", here, "damaged"},
		"no address":                   {"canary", here, "not the whole address"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := codeIn(c.pasted, c.redirectURL)
			code, state := got.code, got.state
			if names := strings.Contains(c.pasted, "iss=https"); names != (got.issuer == "https://b.example") {
				t.Errorf("issuer %q", got.issuer)
			}
			switch {
			case c.says == "" && (err != nil || code != "c" || state != "s"):
				t.Errorf("%q, %q, %v", code, state, err)
			case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") || code+state != ""):
				t.Errorf("%q, %q, %v; want %q", code, state, err, c.says)
			}
		})
	}
}
