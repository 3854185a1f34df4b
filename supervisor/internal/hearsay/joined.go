package hearsay

import (
	"bytes"
	"slices"
)

// This file holds how a secret is found that is split over lines, or over texts
// that people read one after the other. A long one has pieces that give each part
// away; a short one shows only where the parts are put together again. What looks
// like a secret is not searched for so: two words that happen to follow each other
// look like anything.
//
// What no search finds: a secret that is told in another order than that in which it
// is read, with other words between its parts, or, if it has fewer than 24 bytes,
// its first half by itself, before anybody can know that the rest will follow. A
// plugin that wants to tell what it was given can always write it in a cipher.

// CleanTogether is Clean for texts that are told as one, in this order: a secret may
// be split over them, and may have begun in what was said before, of which the ends
// are known. above are what was said in the place of each before, as in the same field
// of a table; none: nothing. The first stays on one line; of the others lines may stand
// below each other.
func (s *Secrets) CleanTogether(before, texts []string, limit int, above ...string) []string {
	looked, clean := lookAll(texts, func(int) int { return limit })
	found := make([][]finding, len(texts))
	note := func(spanning [][]finding) {
		for i := range spanning {
			found[i] = append(found[i], spanning[i]...)
		}
	}
	note(s.spanning(clean))
	for _, end := range slices.Compact(slices.Clone(before)) {
		if end != "" && len(clean) > 0 {
			note(s.spanning(append([]string{visible(end)}, clean...))[1:])
		}
	}
	for i := range min(len(above), len(clean)) {
		if above[i] != "" {
			found[i] = append(found[i], s.spanning([]string{visible(above[i]), clean[i]})[1]...)
		}
	}
	for i, text := range clean {
		clean[i] = looked[i].without(append(found[i], s.find(text)...))
		if i == 0 {
			clean[i] = oneLine(clean[i])
		}
		clean[i] = clip(clean[i], limit)
	}
	return clean
}

// End is as much of what was said as CleanTogether needs of it. A secret that is
// longer is found by its pieces.
func End(said string) string { return said[max(0, len(said)-pieced):] }

// cleanAll is Clean for texts that stand in one message, in the order of its
// fields: a secret may be split over them.
func (s *Secrets) cleanAll(texts []string, limits []int) []string {
	looked, clean := lookAll(texts, func(i int) int { return limits[i] })
	spanning := s.spanning(clean)
	for i, text := range clean {
		found := s.find(text)
		if spanning != nil {
			found = append(found, spanning[i]...)
		}
		clean[i] = clip(oneLine(looked[i].without(found)), limits[i])
	}
	return clean
}

// lookAll is look for several texts, and what is searched of each.
func lookAll(texts []string, limit func(int) int) ([]looked, []string) {
	all, searched := make([]looked, len(texts)), make([]string, len(texts))
	for i, text := range texts {
		all[i] = look(text, limit(i))
		searched[i] = all[i].text
	}
	return all, searched
}

// edge is how much of the beginning and of the end of a text is looked at for a
// secret that goes over them.
const edge = 256

// spanning returns what must not be repeated of each text because a secret goes
// over its end; nil: nothing.
func (s *Secrets) spanning(texts []string) [][]finding {
	if len(texts) < 2 {
		return nil
	}
	// stretch is a part of a text, and where it stands in all of them.
	type stretch struct{ text, from, at, size int }
	var all []byte
	var stretches []stretch
	add := func(text, from, to int) {
		stretches = append(stretches, stretch{text, from, len(all), to - from})
		all = append(append(all, texts[text][from:to]...), '\n')
	}
	for i, text := range texts {
		if len(text) <= 2*edge {
			add(i, 0, len(text))
			continue
		}
		add(i, 0, edge)
		all = append(all, '"') // no secret goes over what is left out
		add(i, len(text)-edge, len(text))
	}
	f := finder{secrets: s, joined: true}
	f.look(unwrapped(&view{text: all}), 1)
	parts := make([][]finding, len(texts))
	for _, found := range f.found {
		for _, st := range stretches {
			if from, to := max(found.from, st.at), min(found.to, st.at+st.size); from < to {
				parts[st.text] = append(parts[st.text], finding{from - st.at + st.from, to - st.at + st.from, found.certain})
			}
		}
	}
	return parts
}

// unwrapped undoes the end of a line in the middle of a word, and the blanks around
// it; nil: there is only one line.
func unwrapped(v *view) *view {
	if bytes.IndexByte(v.text, '\n') < 0 {
		return nil
	}
	isBlank := func(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }
	out := sized(len(v.text))
	out.known = true
	broken := false
	for i := 0; i < len(v.text); i++ {
		if !isBlank(v.text[i]) {
			out.add(v.text[i], v, i, i+1)
			continue
		}
		end, ends := i, false
		for ; end < len(v.text) && isBlank(v.text[end]); end++ {
			ends = ends || v.text[end] == '\n'
		}
		for ; i < end && !ends; i++ {
			out.add(v.text[i], v, i, i+1)
		}
		i = end - 1
		broken = broken || ends
	}
	if !broken {
		return nil
	}
	return out
}
