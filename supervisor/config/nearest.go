package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// nearest returns the candidate that a mistyped word most probably meant, or
// "" if none is close: two letters (which is what two swapped ones count) or
// every third may differ, but only one of a very short word.
func nearest(word string, candidates []string) string {
	best, distance := "", max(2, len(word)/3)+1
	if len(word) < 4 {
		distance = 2
	}
	for _, c := range candidates {
		// The difference in length is a lower bound, and far cheaper.
		if max(len(c)-len(word), len(word)-len(c)) >= distance {
			continue
		}
		if d := levenshtein.ComputeDistance(word, c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// didYouMean is the hint about a word that one of the known ones is near to,
// else "".
func didYouMean(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// suggest is the hint about a word that is not among the known ones: the
// nearest, or if none is near, all of them.
func suggest(word string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	if hint := didYouMean(word, known); hint != "" {
		return hint
	}
	if len(known) == 0 || len(known) > 16 {
		return ""
	}
	return "known here: " + strings.Join(known, ", ")
}
