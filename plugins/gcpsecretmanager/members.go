package gcpsecretmanager

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// members are those of a JSON object, in their order.
type members []member

type member struct {
	key   string
	value json.RawMessage
}

var errNoObject = errors.New("it is no JSON object")

// parseMembers reads one JSON object and nothing else, in UTF-8 (RFC 8259,
// section 8.1). Of two members with one
// key the last counts, as for all readers. Its error quotes nothing.
func parseMembers(b []byte) (members, error) {
	b = bytes.TrimSpace(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")))
	if len(b) == 0 || b[0] != '{' || !json.Valid(b) || !utf8.Valid(b) {
		return nil, errNoObject
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	_, _ = dec.Token() // the brace: it is valid JSON
	all := members{}
	index := map[string]int{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, errNoObject
		}
		key, _ := t.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errNoObject
		}
		if i, twice := index[key]; twice {
			all[i].value = value
			continue
		}
		index[key] = len(all)
		all = append(all, member{key, value})
	}
	return all, nil
}

func (m members) at(key string) int {
	return slices.IndexFunc(m, func(x member) bool { return x.key == key })
}

// get returns nil if there is no such member.
func (m members) get(key string) json.RawMessage {
	if i := m.at(key); i >= 0 {
		return m[i].value
	}
	return nil
}

// object returns nil if the member is not an object.
func (m members) object(key string) members {
	o, err := parseMembers(m.get(key))
	if err != nil {
		return nil
	}
	return o
}

// text returns "" if the member is not a string.
func (m members) text(key string) string {
	var s string
	if json.Unmarshal(m.get(key), &s) != nil {
		return ""
	}
	return s
}

// with sets a member, where it stands or at the end.
func (m members) with(key string, value json.RawMessage) members {
	if i := m.at(key); i >= 0 {
		m = slices.Clone(m)
		m[i].value = value
		return m
	}
	return append(slices.Clip(m), member{key, value})
}

// encode writes the object, in lines of their own if indented. Values keep
// their own escapes and digits.
func (m members) encode(indented bool) []byte {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, x := range m {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.Write(quote(x.key))
		buf.WriteByte(':')
		_ = json.Compact(&buf, x.value) // it is valid JSON
	}
	buf.WriteByte('}')
	if !indented {
		return buf.Bytes()
	}
	var lines bytes.Buffer
	_ = json.Indent(&lines, buf.Bytes(), "", "  ")
	lines.WriteByte('\n')
	return lines.Bytes()
}

// quote writes s as JSON, without escapes for HTML.
func quote(s string) json.RawMessage {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string can always be written
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
