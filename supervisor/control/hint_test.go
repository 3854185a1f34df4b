package control

import (
	"fmt"
	"testing"
)

// A name that is not known brings what there is, what it may be a slip of first.
func TestUnknownNamesBringThoseThatThereAre(t *testing.T) {
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("account-%02d", i))
	}
	for name, tt := range map[string]struct {
		known []string
		want  string
	}{
		"saxo-love":  {[]string{"schwab-main", "saxo-life2", "saxo-live"}, `; did you mean "saxo-live"? There are: saxo-live, saxo-life2, schwab-main`},
		"other":      {[]string{"schwab-main", "saxo-live"}, "; there are: schwab-main, saxo-live"},
		"account-0":  {many, `; did you mean "account-00"? "tokenkeeper check" lists all`},
		"else":       {many, `; "tokenkeeper check" lists them`},
		"of nothing": {nil, "; there is none"},
	} {
		if got := Hint(name, tt.known, "check"); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
