package config

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Problem is one thing that is wrong, where it stands, and what to do. Its
// text never holds the value of a secret.
type Problem struct {
	// File is never empty: the configuration file, "environment" or "flags".
	File string
	// Line and Column count from 1; 0: the whole file.
	Line, Column int
	// Key is dotted, as in accounts.schwab-main.refresh; for something that
	// comes from the environment it is the variable's name. "": no key.
	Key     string
	Message string
	// Hint is what to do about it; it may be "".
	Hint string
}

// String is one line: "file:line:column: key: message; hint".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	if p.Key != "" {
		b.WriteString(": " + p.Key)
	}
	b.WriteString(": " + p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems is the error that [Load] returns: everything that is wrong, in the
// order of the file.
type Problems []Problem

// Error has one line for each problem, up to a number of each kind, and says how many
// more there are.
func (ps Problems) Error() string {
	var lines []string
	few, more := ps.Few()
	for i, p := range few {
		lines = append(lines, p.String())
		if more[i] > 0 {
			lines = append(lines, fmt.Sprintf("  and %d more like it: \"tokenkeeper check --json\" lists them all", more[i]))
		}
	}
	return strings.Join(lines, "\n")
}

// few are as many problems of one kind as are told one by one: a word that is wrong in
// a template may be so in each of twenty thousand accounts.
const few = 10

// Few are the first problems of each kind in their order, and behind the last one of
// its kind how many more there are.
func (ps Problems) Few() (told Problems, more []int) {
	last, met := map[string]int{}, map[string]int{}
	inQuotes := regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	for _, p := range ps {
		kind := p.kind(inQuotes)
		if met[kind]++; met[kind] > few {
			more[last[kind]]++
			continue
		}
		last[kind] = len(told)
		told, more = append(told, p), append(more, 0)
	}
	return told, more
}

// kind is what a problem says, whichever account, sink or provider it is about, and
// whatever it quotes.
func (p Problem) kind(inQuotes *regexp.Regexp) string {
	key := strings.SplitN(p.Key, ".", 3)
	text := inQuotes.ReplaceAllString(p.Message+"\n"+p.Hint, `"*"`)
	if len(key) == 3 {
		text = strings.ReplaceAll(text, key[1], "*")
		key[1] = "*"
	}
	return strings.Join([]string{p.File, strings.Join(key, "."), text}, "\n")
}

// Warning is something that works but should be put right. It has the shape
// of a [Problem].
type Warning Problem

// String is one line, like that of a [Problem].
func (w Warning) String() string { return Problem(w).String() }

func inOrder(a, b Problem) int {
	return cmp.Or(
		cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
		cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message))
}
