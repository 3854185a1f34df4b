package config

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// trimmed is s without what no value begins or ends with, and editors and shells
// leave there: byte order marks and line ends.
func trimmed(s string) string { return strings.Trim(s, "\ufeff\r\n") }

// isPlain says of most values, and quickly, that nothing has to be resolved or told.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '$' || c == '"' || c == '\'' {
			return false
		}
	}
	return !strings.HasPrefix(s, "env:")
}

// tellOfDirt warns of what came along with a value: what is it, "" for what stands at
// at itself. A value that several accounts refer to is told of once.
func (r *references) tellOfDirt(at Place, what, value string) {
	found := dirt(value)
	if found == "" || r.told[what] {
		return
	}
	if what != "" {
		r.told[what] = true
		what += " "
	}
	r.warn(at, what+found+", and is used as it stands", "take out what is no part of the value")
}

// dirt says what in a value is most likely no part of it, in words that quote
// nothing: blanks at either end, quotes around it, and characters that nobody sees.
// "": nothing.
func dirt(s string) string {
	if isPlain(s) {
		return ""
	}
	var found []string
	inner := strings.TrimLeftFunc(s, unicode.IsSpace)
	before := utf8.RuneCountInString(s[:len(s)-len(inner)])
	if before > 0 {
		found = append(found, "begins with a blank")
	}
	if whole := len(inner); len(strings.TrimRightFunc(inner, unicode.IsSpace)) < whole {
		inner = strings.TrimRightFunc(inner, unicode.IsSpace)
		found = append(found, "ends with a blank")
	}
	for _, quotes := range []string{`""`, `''`, "“”"} {
		first, size := utf8.DecodeRuneInString(quotes)
		if len(inner) >= len(quotes) && strings.HasPrefix(inner, string(first)) && strings.HasSuffix(inner, quotes[size:]) {
			found = append(found, "stands in quotes, which count as part of it")
		}
	}
	if odd, at, more := unseen(inner); odd != "" {
		text := fmt.Sprintf("holds %s as its character %d", odd, before+at)
		if more > 0 {
			text += fmt.Sprintf(", and %d more like it", more)
		}
		found = append(found, text)
	}
	return strings.Join(found, ", ")
}

// unseen names the first character of s that nobody sees, says where it is, counted
// from 1, and how many more there are. A text that has lines by its nature, as a key
// in PEM and JSON, may hold line ends and tabs.
func unseen(s string) (what string, at, more int) {
	hasLines := strings.Contains(s, "-----BEGIN ") || strings.HasPrefix(s, "{") || strings.HasPrefix(s, "[")
	n := 0
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		i, n = i+size, n+1
		name := ""
		switch {
		case r == utf8.RuneError && size == 1:
			name = "a byte that is no text in UTF-8"
		case hasLines && strings.ContainsRune("\t\r\n", r):
		case r == '\n':
			name = "a line end"
		case r == '\r':
			name = "a carriage return"
		case unicode.IsControl(r):
			name = fmt.Sprintf("a control character (%U)", r)
		case r != ' ' && unicode.In(r, unicode.Z, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			name = fmt.Sprintf("an invisible character (%U)", r)
		}
		switch {
		case name == "":
		case what == "":
			what, at = name, n
		default:
			more++
		}
	}
	return what, at, more
}

// tellOfVariable warns of a value that names a variable as shells do, or as this file
// does without its brackets. It may be a secret all the same, so that none is quoted but
// the name of a variable that is set.
func (r *references) tellOfVariable(at Place, raw string) {
	name, shell := strings.CutPrefix(raw, "$")
	name, ours := strings.CutPrefix(name, "env:")
	name, _, _ = strings.Cut(name, "/") // a path may begin with one
	if !shell && !ours || !variableName.MatchString(name) {
		return
	}
	hint := "write ${env:NAME} for the value of a variable"
	if meant := r.meantVariable(name); meant != "" {
		hint = "did you mean " + meant + "?"
	} else if name != strings.ToUpper(name) {
		return
	}
	r.warn(at, "reads like the name of a variable, and is used as it stands", hint)
}

// meantVariable is the reference to the variable of that name; "": none is set.
func (r *references) meantVariable(name string) string {
	if _, set := r.environ[name]; !set || !variableName.MatchString(name) {
		return ""
	}
	return "${env:" + name + "}"
}
