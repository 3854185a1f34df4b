package hearsay

import "slices"

// view is a text as somebody would read it who undoes an encoding. Each byte of
// it stands for a part of the text that is cleaned.
type view struct {
	text     []byte
	from, to []int32 // nil: it is that text itself
	// known: only secrets that are known are searched for in it.
	known bool
}

// span is where a part of the view stands in the text.
func (v *view) span(from, to int) (int, int) {
	if v.from == nil || from == to {
		return from, to
	}
	return int(v.from[from]), int(v.to[to-1])
}

// sized is a view with room for so many bytes.
func sized(bytes int) *view {
	return &view{text: make([]byte, 0, bytes), from: make([]int32, 0, bytes), to: make([]int32, 0, bytes)}
}

// add puts a byte into the view that the bytes [from, to) of its parent stand
// for.
func (v *view) add(b byte, parent *view, from, to int) {
	from, to = parent.span(from, to)
	v.text = append(v.text, b)
	v.from, v.to = append(v.from, int32(from)), append(v.to, int32(to))
}

// deepest is how many encodings are undone, one inside the other.
const deepest = 3

// find returns what must not be repeated.
func (s *Secrets) find(text string) []finding {
	f := finder{secrets: s}
	f.look(&view{text: []byte(text)}, 0)
	return f.found
}

type finder struct {
	secrets *Secrets
	found   []finding
	// joined: the texts of several places stand side by side, and what follows the
	// beginning of a secret may be none of it.
	joined bool
}

// look searches a view, and what it is when an encoding is undone.
func (f *finder) look(v *view, depth int) {
	var whole, parts [][2]int
	f.secrets.in(v.text, func(from, to int, k kind) {
		switch {
		case k == begun && !f.joined && ends(v.text[to:]):
			f.note(v, from, len(v.text), false)
			return
		case k == begun:
			return
		case k == part:
			parts = append(parts, [2]int{from, to})
			return
		}
		whole = append(whole, [2]int{from, to})
		f.note(v, from, to, k == token)
	})
	for _, p := range parts {
		if !slices.ContainsFunc(whole, func(w [2]int) bool { return w[0] <= p[0] && p[1] <= w[1] }) {
			from, to := around(v.text, p[0], p[1])
			f.note(v, from, to, false)
		}
	}
	if depth > 0 && !isPlain(string(v.text)) {
		return // what was not encoded so is noise now, and has nothing inside
	}
	if !v.known {
		shapes(v.text, func(from, to int) { f.note(v, from, to, false) })
	}
	if depth == deepest {
		return
	}
	for _, undo := range [...]func(*view) *view{percent, form, escapes, unwrapped} {
		if inner := undo(v); inner != nil {
			f.look(inner, depth+1)
		}
	}
	base64s(v, func(inner *view) { f.look(inner, depth+1) })
	hexes(v, func(inner *view) { f.look(inner, depth+1) })
}

func (f *finder) note(v *view, from, to int, certain bool) {
	from, to = v.span(from, to)
	f.found = append(f.found, finding{from, to, certain})
}

// ends says whether nothing but more of a secret follows.
func ends(text []byte) bool {
	for _, c := range text {
		if !isOfToken(c) {
			return false
		}
	}
	return true
}

// around extends a piece of a secret to all that may belong to it.
func around(text []byte, from, to int) (int, int) {
	for from > 0 && isOfToken(text[from-1]) {
		from--
	}
	for to < len(text) && isOfToken(text[to]) {
		to++
	}
	return from, to
}

// isOfToken says whether a token may hold this byte: b64token of RFC 6750,
// section 2.1, and what brokers take beside.
func isOfToken(c byte) bool {
	switch c {
	case '-', '.', '_', '~', '+', '/', '=', '@', '%', '*', '!', '$':
		return true
	}
	return isAlnum(c)
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
