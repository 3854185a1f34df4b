package hearsay

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// visible is the text without anything that a reader does not see: commands to
// a terminal (ECMA-48), marks of direction, joiners and fillers. It comes before
// the search for secrets, because what splits a secret without being seen hides
// it from the search alone. Lines stay lines.
func visible(text string) string {
	if isPlain(text) {
		return text
	}
	var out strings.Builder
	out.Grow(len(text))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			out.WriteByte('?')
		case r == 0x1b:
			size = escape(text[i:])
		case r == '\n', r == '\t':
			out.WriteRune(r)
		case r == '\r', r == '\v', r == '\f', r == '\u0085', r == '\u2028', r == '\u2029':
			out.WriteByte('\n')
		case unseen(r):
		case unicode.IsSpace(r):
			out.WriteByte(' ')
		case unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			out.WriteByte('?')
		}
		i += size
	}
	return out.String()
}

func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' && c != '\n' || c >= 0x7f {
			return false
		}
	}
	return true
}

// unseen says whether a letter takes no place.
func unseen(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// escape returns the length of the command to a terminal that text begins with.
func escape(text string) int {
	if len(text) < 2 {
		return len(text)
	}
	switch text[1] {
	case '[': // a control sequence: parameters, and a final byte
		for i := 2; i < len(text); i++ {
			if c := text[i]; c < ' ' || c > '~' {
				return i
			} else if c >= '@' {
				return i + 1
			}
		}
		return len(text)
	case ']', 'P', 'X', '^', '_': // a string, up to BEL or ST; one that has no end is none
		for i := 2; i < len(text); i++ {
			if text[i] == 0x07 {
				return i + 1
			}
			if text[i] == 0x1b && i+1 < len(text) && text[i+1] == '\\' {
				return i + 2
			}
		}
		return 2
	}
	return 2
}

// oneLine puts the lines of a text beside each other.
func oneLine(text string) string {
	text = strings.TrimSpace(text)
	if !strings.ContainsAny(text, "\n\t") {
		return text
	}
	return strings.Join(strings.Fields(strings.NewReplacer("\n", " ", "\t", " ").Replace(text)), " ")
}
