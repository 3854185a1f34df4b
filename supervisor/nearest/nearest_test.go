package nearest

import (
	"slices"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"schwab", "saxo", "hup", "schwab-two"}
	for word, want := range map[string][]string{
		"shwab":      {"schwab"},
		"sxao":       {"saxo"},
		"hub":        {"hup"},
		"xub":        nil, // two letters of three
		"etrade":     nil,
		"schwab-tow": {"schwab-two"},
		"":           nil,
	} {
		best := ""
		if len(want) > 0 {
			best = want[0]
		}
		if got := Of(word, known); got != best {
			t.Errorf("%q is near to %q, want %q", word, got, best)
		}
		if got := All(word, known); !slices.Equal(got, want) {
			t.Errorf("%q is near to %q, want %q", word, got, want)
		}
	}
	if got := All("saxo", []string{"sako", "saxo", "soxa"}); !slices.Equal(got, []string{"saxo", "sako", "soxa"}) {
		t.Errorf("in order: %q", got)
	}
	if got := Hint("shwab", known); got != `did you mean "schwab"?` {
		t.Errorf("the hint is %q", got)
	}
}
