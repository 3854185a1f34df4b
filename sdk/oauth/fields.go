package oauth

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
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
		if object.tokens() {
			return object
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

var (
	// refreshTokenName is what any dialect may call a refresh token.
	refreshTokenName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^refresh[_-]?token$`) })
	// refreshTokenText is a refresh token with a value, in any notation.
	refreshTokenText = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)refresh[_-]?token\b["'\s]*[:=>]\s*["']?[A-Za-z0-9._~+/=-]{8,}`)
	})
	// refreshName is what else a refresh token is called where nobody follows RFC 6749, as
	// in {"access":…,"refresh":…}, and notOfToken is of what is said about one.
	refreshName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)refresh`) })
	notOfToken  = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)expir|time|date|until|ttl|life|age|type|scope|stat|ur[il]|[_-](in|at|on|id)$|[a-z](In|At|On|Id|ID)$`)
	})
	// bareToken is a token and nothing else (RFC 6750, section 2.1).
	bareToken = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9._~+/-]{24,}=*$`) })
)

// mayHoldToken says of a success in which no token was found whether there may
// be one all the same, for a person or a better program to find. There is none
// in an empty answer, in JSON without a refresh token by any name, in a sentence, in a page
// (no token endpoint answers with one, so something before it did), and in the
// beginning of an answer of which everything that is whole has been read.
func (c content) mayHoldToken(mediaType string) bool {
	text := bytes.TrimSpace(c.text)
	switch {
	case c.fault != "":
		return true
	case len(text) == 0:
		return false
	case json.Valid(text):
		return named(text, 0)
	case c.cut != "" && (text[0] == '{' || text[0] == '['):
		return false
	case isPage(text, mediaType):
		return false
	}
	return refreshTokenText().Match(text) || isBareToken(string(text)) || inForm(string(text))
}

// isBareToken tells a token from a word by a digit and a letter in it.
func isBareToken(text string) bool {
	return bareToken().MatchString(text) && strings.ContainsAny(text, "0123456789") && strings.IndexFunc(text, unicode.IsLetter) >= 0
}

// inForm looks in a form for a refresh token by another name.
func inForm(text string) bool {
	form, err := url.ParseQuery(text)
	if err != nil || strings.ContainsAny(text, " \n<") {
		return false
	}
	for name := range form {
		if mayBeRefreshToken(name, form.Get(name)) {
			return true
		}
	}
	return false
}

// mayBeRefreshToken says whether a text of that name may be one.
func mayBeRefreshToken(name, text string) bool {
	return refreshName().MatchString(name) && !notOfToken().MatchString(name) && looksIssued(text)
}

func isPage(text []byte, mediaType string) bool {
	start := strings.ToLower(string(text[:min(len(text), 64)]))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") ||
		mediaType == "text/html" && strings.HasPrefix(start, "<")
}

// named looks in JSON for a refresh token that has a value.
func named(raw json.RawMessage, depth int) bool {
	var object fields
	var list []json.RawMessage
	if json.Unmarshal(raw, &object) == nil {
		for name, v := range object {
			if refreshTokenName().MatchString(name) && len(v) > len(`""`) && string(v) != "null" && string(v) != "false" ||
				mayBeRefreshToken(name, object.text(name)) {
				return true
			}
			list = append(list, v)
		}
	} else if json.Unmarshal(raw, &list) != nil {
		var text string
		return json.Unmarshal(raw, &text) == nil && (refreshTokenText().MatchString(text) || depth == 0 && isBareToken(text))
	}
	for _, v := range list {
		if depth > 2*deepest || named(v, depth+1) {
			return true
		}
	}
	return false
}
