package format

import (
	"strings"
	"testing"
)

// What is left of a file that nobody can read: whether a token may be among it, and which
// one stands there whole.
func TestSalvage(t *testing.T) {
	for text, want := range map[string]struct {
		token string
		rest  bool
	}{
		"":                                {"", false},
		" \n\t":                           {"", false},
		"\xef\xbb\xbf\x00\x00\x00":        {"", false},
		`{}`:                              {"", false},
		`{"note": "theirs"}`:              {"", false},
		`{"refresh_token": ""}`:           {"", false},
		`null`:                            {"", false},
		`{`:                               {"", true},
		`{"refresh_token":"R3"`:           {"R3", true},
		`{"refresh_token": "R3", "acc`:    {"R3", true},
		`{"refresh_token": "R`:            {"", true}, // nobody knows how it goes on
		`{"access_token": "A3", "expir`:   {"", true},
		`{"refresh_token": "R\u0033", `:   {"", true},
		`{"refresh_token": "R3"}{"refre`:  {"R3", true},
		`{"data": {"refreshToken": "R"}}`: {"", true}, // a layout that nobody here knows
		`[{"x": [{"auth_token": "R"}]}]`:  {"", true},
		`{"telegram_token": "R"}`:         {"", false}, // of something else
		"\x00\x00R3":                      {"", true},
		`{"refresh_token":"R3","old":{"refresh_token":"R2"`: {"R3 R2", true},
		`{"refresh_token":"R3"}{"refresh_token":"R3"}`:      {"R3", true},
		`{"refresh_token":"R3"}{"refresh_token":"R`:         {"R3", true},
	} {
		d, rest := Salvage([]byte(text))
		var all []string
		for _, one := range d.Several {
			all = append(all, one.Reveal())
		}
		if d.RefreshToken.Reveal()+strings.Join(all, " ") != want.token || rest != want.rest || !d.AccessToken.IsZero() {
			t.Errorf("%q: %q, several %q, rest %t", text, d.RefreshToken.Reveal(), all, rest)
		}
	}
}
