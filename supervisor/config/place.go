package config

import (
	"fmt"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// layer is one of the layers that a value comes from.
type layer int

const (
	inFile layer = iota
	inEnvironment
	inFlags
)

// Place is where something was written.
type Place struct {
	file         string
	line, column int
	key          string
	layer        layer
	// literal: a block of lines, the first of which follows this one (|).
	literal bool
}

// textLine is the place of a line of the text that stands at the place; ok is false
// if that can't be told, because the text is no block of lines.
func (at Place) textLine(n int) (line Place, ok bool) {
	if !at.literal || n <= 0 {
		return at, false
	}
	at.line, at.column = at.line+n, 0
	return at, true
}

// InLine says for people in which line it is, after a space; "": in none.
func (at Place) InLine() string {
	if at.line == 0 {
		return ""
	}
	return fmt.Sprintf(" (line %d)", at.line)
}

// findings are what a load has found, by what was given and where.
type findings struct {
	source Source
	file   string // what messages call the YAML file

	badNames map[string]bool // names that can't be names
	problems Problems
	warnings []Warning
}

func (f *findings) report(at Place, message, hint string) {
	f.problems = append(f.problems, Problem{at.file, at.line, at.column, at.key, message, hint})
}

func (f *findings) warn(at Place, message, hint string) {
	f.warnings = append(f.warnings, Warning{at.file, at.line, at.column, at.key, message, hint})
}

// reject reports a value, and remembers that it is there all the same, so that
// nobody reports it as missing.
func (f *findings) reject(e *entry, at Place, wrong *Fault) {
	e.at, e.broken = at, true
	f.report(at, wrong.Message, wrong.Hint)
}

// answers says whether the file system of a path does.
func (f *findings) answers(path string) bool { return f.source.Mounts.Ask(path) == nil }

// silent tells of a file system that does not answer, which only one sink, account or
// provider needs: a problem for who checks a configuration. At a start it is a warning,
// because it may answer later.
func (f *findings) silent(at Place, err error) {
	if f.source.StrictFiles {
		f.report(at, err.Error(), mounts.Remedy)
	} else {
		f.warn(at, err.Error(), mounts.Remedy)
	}
}

func (f *findings) sort() {
	slices.SortFunc(f.problems, inOrder)
	f.problems = slices.Compact(f.problems)
	slices.SortFunc(f.warnings, func(a, b Warning) int { return inOrder(Problem(a), Problem(b)) })
	f.warnings = slices.Compact(f.warnings)
}
