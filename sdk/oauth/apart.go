package oauth

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"sync"
)

// several is why an answer with more than one refresh token is left to a
// person: a wrong one in the place of the right one ends the login.
const several = "it holds several refresh tokens, and which of them is the new one is not certain"

// refreshToken is one that stands in an answer, and the object in which it does.
type refreshToken struct {
	text   string
	beside fields
}

// completed looks in the whole answer for what f, in which a token was found,
// lacks. The new refresh token may stand by another name, apart from the access
// token, or behind the one that was sent. doubt is why none can be chosen. A
// whole object in its right place is not questioned; alone says it has no such
// place. An answer without any refresh token stays what it is.
func (c content) completed(f fields, alone bool) (found fields, rescued, doubt string) {
	access, refresh := f.text("access_token") != "", f.text("refresh_token")
	if access && refresh != "" && !alone {
		return f, "", ""
	}
	all := f.refreshTokens(0)
	for _, v := range values(c.text) {
		all = append(all, refreshTokensIn(v, 0)...)
	}
	var next refreshToken
	for _, r := range all {
		switch {
		case r.text == refresh:
		case next.text == "" || next.text == r.text && next.beside.text("access_token") == "":
			next = r
		case next.text != r.text:
			return f, "", several
		}
	}
	switch {
	case next.text == "":
		return f, "", ""
	case refresh == "":
		found = maps.Clone(f)
		if _, known := f["refresh_token_expires_in"]; !known && next.beside["refresh_token_expires_in"] != nil {
			found["refresh_token_expires_in"] = next.beside["refresh_token_expires_in"]
		}
	case !access && next.beside.text("access_token") != "":
		found = maps.Clone(next.beside) // f is an echo
	default:
		return f, "", several
	}
	found["refresh_token"], _ = json.Marshal(next.text)
	return found, "the refresh token stood apart or by another name", ""
}

// values are the JSON values of a text: the one that it begins with, and the
// objects in the rest of it.
func values(b []byte) []json.RawMessage {
	var list []json.RawMessage
	for range mostStarts {
		var v json.RawMessage
		d := json.NewDecoder(bytes.NewReader(b))
		if d.Decode(&v) == nil {
			list = append(list, v)
			b = b[d.InputOffset():]
		} else {
			b = b[min(1, len(b)):]
		}
		at := bytes.IndexByte(b, '{')
		if at < 0 {
			break
		}
		b = b[at:]
	}
	return list
}

// refreshTokensIn looks where within does, and by the names of all dialects.
func refreshTokensIn(raw json.RawMessage, depth int) []refreshToken {
	if depth > deepest {
		return nil
	}
	var object fields
	var list []json.RawMessage
	var text string
	switch {
	case json.Unmarshal(raw, &object) == nil:
		return object.refreshTokens(depth)
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &text) == nil && json.Valid([]byte(text)):
		list = []json.RawMessage{json.RawMessage(text)}
	}
	var all []refreshToken
	for _, v := range list {
		all = append(all, refreshTokensIn(v, depth+1)...)
	}
	return all
}

func (f fields) refreshTokens(depth int) []refreshToken {
	var all []refreshToken
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if text := f.text(name); refreshTokenName().MatchString(name) && looksIssued(text) {
			all = append(all, refreshToken{text, f})
			continue
		}
		all = append(all, refreshTokensIn(f[name], depth+1)...)
	}
	return all
}

var (
	issued = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[!-~]{8,}$`) })
	// notIssued: words such as "not_granted", addresses, and paths.
	notIssued = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_./-]{0,19}$|://|^(/[a-z0-9._-]+)+/?$`) })
)

// looksIssued says whether a text is what servers issue as a token (RFC 6749,
// appendix A.17), and not a word about one.
func looksIssued(text string) bool {
	return issued().MatchString(text) && !notIssued().MatchString(text)
}
