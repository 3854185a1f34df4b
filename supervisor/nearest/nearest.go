// Package nearest finds what a mistyped word was probably meant to be.
package nearest

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/agnivade/levenshtein"
)

// Of returns the known word that word was most probably meant to be, or "" if none
// is close: two letters (which is what two swapped ones count) or every third may
// differ, but only one of a very short word. word is none of them.
func Of(word string, known []string) string {
	best, distance := "", reach(word)+1
	for _, k := range known {
		if d, near := apart(word, k, distance); near {
			best, distance = k, d
		}
		if distance == 1 {
			break // none can be nearer
		}
	}
	return best
}

// All are those that it may have been meant to be, the nearest first.
func All(word string, known []string) []string {
	var all []string
	distances := map[string]int{}
	for _, k := range known {
		if d, near := apart(word, k, reach(word)+1); near {
			all, distances[k] = append(all, k), d
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return cmp.Compare(distances[a], distances[b]) })
	return all
}

// Hint asks whether the nearest was meant; "": none is near.
func Hint(word string, known []string) string {
	if n := Of(word, known); n != "" {
		return DidYouMean(n)
	}
	return ""
}

// DidYouMean asks whether something else was meant.
func DidYouMean(other string) string { return fmt.Sprintf("did you mean %q?", other) }

func reach(word string) int {
	if len(word) < 4 {
		return 1
	}
	return max(2, len(word)/3)
}

// apart is how many letters differ, if they are fewer than below.
func apart(a, b string, below int) (distance int, near bool) {
	// The difference in length is a lower bound, and far cheaper.
	if max(len(a)-len(b), len(b)-len(a)) >= below {
		return 0, false
	}
	d := levenshtein.ComputeDistance(a, b)
	return d, d < below
}
