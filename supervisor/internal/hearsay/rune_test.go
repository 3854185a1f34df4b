package hearsay

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// However much a redaction shortens, no character is cut in two.
func TestNoRuneIsCut(t *testing.T) {
	s := told(canaries[1])
	for pad := range 4 {
		text := strings.Repeat("x", pad) + strings.Repeat(canaries[1]+" ", (4*Sentence-20)/(len(canaries[1])+1)) + strings.Repeat("€", 5000)
		if got := s.Clean(text, Sentence); !utf8.ValidString(got) {
			t.Errorf("pad %d: not UTF-8: %d bytes, ends %q", pad, len(got), got[len(got)-6:])
		}
	}
}
