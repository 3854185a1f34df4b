package oauth

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// fields are an answer's members, by their exact names.
type fields map[string]json.RawMessage

// text returns a field that is a string, or a number as it is written.
func (f fields) text(name string) string {
	raw := f[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if strings.TrimSpace(s) == "" { // no token is blank
			return ""
		}
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}

// tokens says whether there is an access token or a refresh token.
func (f fields) tokens() bool { return f.text("access_token") != "" || f.text("refresh_token") != "" }

// fields finds the members of the answer: those of a JSON object, whatever the
// content type calls it and whatever stands behind it, or of a form. The RFC
// wants no more. But the refresh token in an answer may be the only one that
// works, so it is looked for wherever it can stand without any doubt; rescued
// then says where it was, for people. doubt says why the tokens of f must not
// be used; "": they may.
func (c content) fields(mediaType string) (f fields, rescued, doubt string) {
	f, rescued = c.chosen(mediaType)
	if !f.tokens() {
		return f, rescued, ""
	}
	whole, apart, doubt := c.completed(f, rescued != "")
	if apart != "" {
		rescued = apart
	}
	return whole, rescued, doubt
}

// chosen finds the object in which a token stands.
func (c content) chosen(mediaType string) (f fields, rescued string) {
	if c.fault != "" {
		return nil, ""
	}
	var top json.RawMessage
	if json.NewDecoder(bytes.NewReader(c.text)).Decode(&top) == nil {
		if json.Unmarshal(top, &f) == nil && f.tokens() {
			return f, ""
		}
		if in := within(top, 0); in != nil {
			return in, "the token stood inside of another value"
		}
		if f != nil || json.Valid(c.text) {
			return f, ""
		}
	}
	if form := formOf(c.text, mediaType); form != nil {
		return form, ""
	}
	if in := embedded(c.text); in != nil {
		return in, "the token stood in the middle of something else"
	}
	if part := beginning(c.text); len(part.refreshTokens(0)) > 0 || part.text("refresh_token") != "" {
		return part, "the answer was not whole, but its refresh token was"
	}
	return nil, ""
}

// deepest bounds how far within looks.
const deepest = 4

// within looks for a token in the values of raw: objects, lists, and strings
// that are JSON themselves.
func within(raw json.RawMessage, depth int) fields {
	if depth > deepest {
		return nil
	}
	var object fields
	var list []json.RawMessage
	var text string
	switch {
	case json.Unmarshal(raw, &object) == nil:
		if object.tokens() && (depth == 0 || object.text("access_token") != "" || looksIssued(object.text("refresh_token"))) {
			return object // and not a word about one, as among errors
		}
		for _, name := range slices.Sorted(maps.Keys(object)) {
			list = append(list, object[name])
		}
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)):
		list = []json.RawMessage{json.RawMessage(text)}
	}
	var found fields
	for _, v := range list {
		in := within(v, depth+1)
		switch {
		case in == nil:
		case found == nil:
			found = in
		case found.text("refresh_token") != in.text("refresh_token"):
			return nil // two of them: which one counts is not ours to guess
		}
	}
	return found
}

// formOf reads a form (RFC 6749 as some early servers understood it): one that
// says so, or one that can be nothing else.
func formOf(b []byte, mediaType string) fields {
	text := strings.TrimSpace(string(b))
	if mediaType != "application/x-www-form-urlencoded" && strings.ContainsAny(text, "<>{}\"' \t\r\n") {
		return nil
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil
	}
	f := fields{}
	for k, v := range form {
		f[k], _ = json.Marshal(v[0])
	}
	if mediaType != "application/x-www-form-urlencoded" && !f.tokens() {
		return nil
	}
	return f
}

// mostStarts bounds how many beginnings of an object embedded looks at.
const mostStarts = 64

// embedded finds an object with a token behind something else, such as a
// prefix against inclusion by other sites, a callback's name, or a page.
func embedded(b []byte) fields {
	for range mostStarts {
		at := bytes.IndexByte(b, '{')
		if at < 0 {
			return nil
		}
		b = b[at:]
		var f fields
		if json.NewDecoder(bytes.NewReader(b)).Decode(&f) == nil && f.tokens() {
			return f
		}
		b = b[1:]
	}
	return nil
}

// beginning reads the members of an object that was cut off, as far as they
// are whole beyond doubt: texts with both of their quotes, and numbers behind
// which something else stands.
func beginning(b []byte) fields {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] != '{' {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return nil
	}
	f := fields{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			break
		}
		key, ok := name.(string)
		if !ok {
			break
		}
		var v json.RawMessage
		if d.Decode(&v) != nil || d.InputOffset() >= int64(len(b)) && v[len(v)-1] != '"' {
			break
		}
		f[key] = v
	}
	return f
}
