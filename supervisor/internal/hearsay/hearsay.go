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
	// margin is how much is looked at behind everything that may be shown. What a
	// secret of this length begins with is never shown, although the text is cut
	// in it; of a longer one, the pieces are found.
	margin = 4 << 10
)

// redacted stands in for what was taken out; package sdk's Secret prints so, too.
const redacted = "[redacted]"

// Clean returns the text as it may be repeated, on one line of at most limit
// bytes.
func (s *Secrets) Clean(text string, limit int) string {
	l := look(text, limit)
	return clip(oneLine(l.without(s.find(l.text))), limit)
}

// looked is as much of a text as is looked at.
type looked struct {
	text string
	// shown is how much of it may be shown.
	shown int
}

// look drops what has no place in limit bytes, before anything is searched in it:
// a plugin may say megabytes. Much may be taken out of what is shown, so some
// times the limit is looked at.
func look(text string, limit int) looked {
	most := 4*limit + margin
	if len(text) <= most {
		text = visible(text)
		return looked{text, len(text)}
	}
	text = visible(text[:most])
	shown := max(0, len(text)-margin)
	for shown > 0 && !utf8.RuneStart(text[shown]) {
		shown--
	}
	return looked{text, shown}
}

// without is what may be shown less the findings.
func (l looked) without(all []finding) string { return cut(l.text[:l.shown], all) }

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

// cut replaces the findings, of which some may stand behind the text.
func cut(text string, all []finding) string {
	if len(all) == 0 {
		return text
	}
	slices.SortFunc(all, func(a, b finding) int { return a.from - b.from })
	var out strings.Builder
	end := 0
	for i := 0; i < len(all) && all[i].from < len(text); {
		from, to := all[i].from, all[i].to
		for i++; i < len(all) && all[i].from <= to; i++ {
			to = max(to, all[i].to)
		}
		out.WriteString(text[end:from])
		out.WriteString(redacted)
		end = min(to, len(text))
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
