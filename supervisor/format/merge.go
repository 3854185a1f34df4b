package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Merge is [Encode] for a file that others write too. existing is the file's
// content; nil or unreadable, it counts as empty. What stays of it:
//   - every key that the format does not know, at each level that it does,
//   - what d leaves open about the client, the login and the grant; but
//     nothing of the token that was there before, of which a part would be
//     worse than none,
//   - the order of the keys, and the indentation unless Options sets one,
//   - the way in which times and numbers are written: seconds as a number or
//     as text, local times with or without microseconds, Z or an offset. A
//     moment between two that can be written so is rounded to the earlier.
func Merge(name string, existing []byte, d Document, o Options) ([]byte, error) {
	old, err := parseMembers(existing)
	if err != nil || len(old) == 0 {
		return Encode(name, d, o)
	}
	l, err := writable(name)
	if err != nil {
		return nil, err
	}
	if l.lift != nil {
		old = l.lift(old)
	}
	if d.LoginAt.IsZero() {
		if before, err := Decode(name, old.compact(), o); err == nil && !before.LoginAt.IsZero() {
			d.LoginAt, d.LoginUncertain = before.LoginAt, before.LoginUncertain
		}
	}
	fresh, err := encodeMembers(l, d, o)
	if err != nil {
		return nil, err
	}
	m := merger{layout: l, times: l.times(d), location: o.location()}
	return write(m.merge(old, fresh, ""), fresh, look(existing, l, o))
}

func encodeMembers(l layout, d Document, o Options) (members, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("format %s: %w", l.name, err)
	}
	b, err := marshal(l.layoutOf(d, o), 0)
	if err != nil {
		return nil, fmt.Errorf("format %s, account %s: %w", l.name, d.Account, err)
	}
	return parseMembers(b)
}

// merger lays a new document over an old one.
type merger struct {
	layout
	times    map[string]time.Time
	location *time.Location
}

// merge works on one level; prefix is the path to it, with a dot at its end.
func (m merger) merge(old, fresh members, prefix string) members {
	var all members
	for _, o := range old {
		path := prefix + o.key
		switch f, known := fresh.get(o.key); {
		case known:
			all = append(all, member{o.key, m.value(path, o.value, f)})
		case !slices.Contains(m.ofToken, path):
			all = append(all, o)
		}
	}
	for _, f := range fresh {
		if _, there := old.get(f.key); !there {
			all = append(all, f)
		}
	}
	return all
}

// value is fresh in the way in which old is written.
func (m merger) value(path string, old, fresh json.RawMessage) json.RawMessage {
	if t, ok := m.times[path]; ok {
		if v := restyle(old, t, m.location); v != nil {
			return v
		}
		return fresh
	}
	if isNumber(fresh) {
		if s, ok := text(old); ok && isNumber([]byte(strings.TrimSpace(s))) {
			return quote(string(fresh))
		}
		return fresh
	}
	below, err := parseMembers(fresh)
	if err != nil {
		return fresh
	}
	before, err := parseMembers(old)
	if err != nil {
		return fresh
	}
	return m.merge(before, below, path+".").compact()
}

// appearance is how a file is laid out.
type appearance struct {
	indent string // of one level; "": all in one line
	spaces bool   // in one line: after commas and colons, as Python does
	end    string // after the last brace
}

// look finds out how existing is laid out. What it does not tell is as the
// format's own programs have it, and Options win.
func look(existing []byte, l layout, o Options) appearance {
	body := bytes.TrimRight(existing, " \t\r\n")
	a := appearance{spaces: l.spaces}
	if len(body) < len(existing) {
		a.end = "\n"
	}
	if o.Indent != 0 {
		a.indent, a.spaces = strings.Repeat(" ", max(o.Indent, 0)), false
		return a
	}
	_, second, lines := bytes.Cut(body, []byte("\n"))
	if !lines {
		a.spaces = spacedColon(body)
		return a
	}
	const deepest = 16
	a.indent = string(second[:len(second)-len(bytes.TrimLeft(second, " \t"))])
	if a.indent == "" || len(a.indent) > deepest {
		a.indent = strings.Repeat(" ", l.indent)
	}
	return a
}

// Largest is how many bytes of a file are read, here and by our readers: more
// than any token file has.
const Largest = 1 << 20

// write makes the bytes of a file. One that would become larger than anybody
// reads is laid out in one line, and is without what others put there if that
// does not help: a token is worth more.
func write(m, bare members, a appearance) ([]byte, error) {
	b, err := lay(m, a)
	if err == nil && len(b) > Largest {
		return lay(bare, a)
	}
	return b, err
}

func lay(m members, a appearance) ([]byte, error) {
	b := m.compact()
	switch {
	case indented(b, a.indent) > Largest:
		// Each level is indented more than the one around it: a little of what
		// others put there can come to gigabytes.
	case a.indent != "":
		var buf bytes.Buffer
		if err := json.Indent(&buf, b, "", a.indent); err != nil {
			return nil, fmt.Errorf("lay out the file: %w", err)
		}
		b = buf.Bytes()
	case a.spaces && 2*len(b) <= Largest:
		b = spaced(b)
	}
	return append(b, a.end...), nil
}

// indented is at least how long compact JSON becomes by [json.Indent].
func indented(b []byte, indent string) int {
	size, depth := len(b), 0
	inString := false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\': // and what it escapes
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			size += 1 + depth*len(indent)
		case c == '}' || c == ']':
			depth--
			size += 1 + depth*len(indent)
		case c == ',':
			size += 1 + depth*len(indent)
		}
	}
	return size
}
