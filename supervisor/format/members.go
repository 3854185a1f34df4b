package format

import (
	"bytes"
	"encoding/json"
	"errors"
)

// members are those of a JSON object, in their order.
type members []member

type member struct {
	key   string
	value json.RawMessage
}

func (m members) get(key string) (json.RawMessage, bool) {
	for _, x := range m {
		if x.key == key {
			return x.value, true
		}
	}
	return nil, false
}

// parseMembers reads one JSON object and nothing else. Of two members with one
// key the last counts, as for all readers.
func parseMembers(b []byte) (members, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if !json.Valid(b) || len(bytes.TrimSpace(b)) == 0 || bytes.TrimSpace(b)[0] != '{' {
		return nil, errors.New("it is no JSON object")
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	var all members
	at := map[string]int{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		if i, twice := at[key]; twice {
			all[i].value = value
			continue
		}
		at[key] = len(all)
		all = append(all, member{key, value})
	}
	return all, nil
}

// compact writes the object in one line without spaces. Values that were read
// keep their own escapes and digits.
func (m members) compact() json.RawMessage {
	var buf bytes.Buffer
	buf.WriteByte('{')
	for i, x := range m {
		if i > 0 {
			buf.WriteByte(',')
		}
		buf.Write(quote(x.key))
		buf.WriteByte(':')
		// A value is valid JSON: it can't fail.
		_ = json.Compact(&buf, x.value)
	}
	buf.WriteByte('}')
	return buf.Bytes()
}

// quote writes s as JSON, without escapes for HTML.
func quote(s string) json.RawMessage {
	b, _ := marshal(s, 0) // a string can always be written
	return b
}

// text reads a JSON string.
func text(raw json.RawMessage) (string, bool) {
	var s string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

func isNumber(raw []byte) bool {
	var n json.Number
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') && json.Unmarshal(raw, &n) == nil
}

// spaced puts a space after each comma and colon between the values of compact
// JSON, as Python's json.dump does.
func spaced(b []byte) []byte {
	out := make([]byte, 0, len(b)+len(b)/8)
	inString := false
	for i := 0; i < len(b); i++ {
		out = append(out, b[i])
		switch {
		case inString && b[i] == '\\': // and what it escapes
			i++
			out = append(out, b[i])
		case b[i] == '"':
			inString = !inString
		case !inString && (b[i] == ',' || b[i] == ':'):
			out = append(out, ' ')
		}
	}
	return out
}

// spacedColon says whether the first colon of an object is followed by a
// space.
func spacedColon(b []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(b))
	for range 2 { // the brace and the first key
		if _, err := dec.Token(); err != nil {
			return false
		}
	}
	_, after, found := bytes.Cut(b[min(int(dec.InputOffset()), len(b)):], []byte(":"))
	return found && bytes.HasPrefix(after, []byte(" "))
}
