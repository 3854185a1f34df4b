// Package hearsay makes what plugins say safe to repeat. A plugin is somebody
// else's program: its error texts, its version, its descriptions and what it
// writes to its standard error reach the log, events, alerts, people's
// terminals and phones. So they pass through here first, and nowhere else:
//
//   - each secret that the supervisor has sent to the plugin, or got from it, is
//     taken out, plain and in the encodings that programs make of one by
//     accident ([Secrets]);
//   - what looks like a token is taken out although nobody here knows it: the
//     answer that a plugin could not make sense of may hold a new one;
//   - what is not printable goes: terminals' commands, text that runs backwards,
//     invisible letters;
//   - the length is bounded.
//
// This is against carelessness, and against texts that play tricks on whoever
// reads them. A plugin that means harm can tell the secrets that it has been
// given to anybody, in a cipher of its own.
package hearsay

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of texts, in bytes.
const (
	// Sentence is for an error's text, and everything that has no bound of its
	// own.
	Sentence = 1 << 10
	// Name is for names and versions.
	Name = 64
	// Line is for one line of a plugin's output.
	Line = 8 << 10
	// looked is how much of a text is looked at; the rest is dropped first.
	looked = 64 << 10
)

// redacted stands in for what was taken out; package sdk's Secret prints so, too.
const redacted = "[redacted]"

// Clean returns the text as it may be repeated, on one line of at most limit
// bytes.
func (s *Secrets) Clean(text string, limit int) string {
	return clip(oneLine(s.discreet(text)), limit)
}

// CleanLines is Clean for a place where lines may stand below each other.
func (s *Secrets) CleanLines(text string, limit int) string { return clip(s.discreet(text), limit) }

// discreet is the text without what is not to be seen.
func (s *Secrets) discreet(text string) string {
	text = visible(bounded(text))
	return cut(text, s.find(text))
}

// bounded is as much of a text as is looked at.
func bounded(text string) string { return text[:min(len(text), looked)] }

// Tells says whether the text holds one of the tokens or client secrets.
func (s *Secrets) Tells(text string) bool {
	return slices.ContainsFunc(s.find(text), func(f finding) bool { return f.certain })
}

// finding is a part of a text that must not be repeated.
type finding struct {
	from, to int
	// certain: it is a whole token or client secret that the plugin was given.
	certain bool
}

// cut replaces the findings.
func cut(text string, all []finding) string {
	if len(all) == 0 {
		return text
	}
	slices.SortFunc(all, func(a, b finding) int { return a.from - b.from })
	var out strings.Builder
	end := 0
	for i := 0; i < len(all); {
		from, to := all[i].from, all[i].to
		for i++; i < len(all) && all[i].from <= to; i++ {
			to = max(to, all[i].to)
		}
		out.WriteString(text[end:from])
		out.WriteString(redacted)
		end = to
	}
	out.WriteString(text[end:])
	return out.String()
}

// clip bounds a text, at the end of a letter.
func clip(text string, limit int) string {
	const more = "…"
	if len(text) <= limit {
		return text
	}
	end := max(limit-len(more), 0)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}
