package config

import (
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// suggest is the hint about a word that is not among the known ones: the
// nearest, or if none is near, all of them.
func suggest(word string, known []string) string {
	if !slices.IsSorted(known) {
		known = slices.Sorted(slices.Values(known))
	}
	if hint := nearest.Hint(word, known); hint != "" {
		return hint
	}
	if len(known) == 0 || len(known) > 16 {
		return ""
	}
	return "known here: " + strings.Join(known, ", ")
}
