package config

import (
	"cmp"
	"fmt"
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

// Error has one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
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
