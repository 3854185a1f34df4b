package oauth

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode"
)

var (
	// refreshTokenName is what any dialect may call a refresh token.
	refreshTokenName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)^refresh[_-]?token$`) })
	// refreshTokenText is a refresh token with a value, in any notation.
	refreshTokenText = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)refresh[_-]?token\b["'\s]*[:=>]\s*["']?[A-Za-z0-9._~+/=-]{8,}`)
	})
	// refreshName is what else one is called where nobody follows RFC 6749, as in
	// {"access":…,"refresh":…}; notOfToken is said about one.
	refreshName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)refresh`) })
	notOfToken  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i:expir|ur[il]$|[_-]id$)|I[dD]$`) })
	// accessName is what the access token may be called that renews itself.
	accessName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)token|jwt|access`) })
	moments    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\d{4}-\d\d-\d\d|\d\d:\d\d:\d\d`) })
	// jwt is a token by its form (RFC 7519, section 3). Of others, a text that is so
	// long and one word is more likely one than the number of a request.
	jwt      = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^eyJ[\w-]{6,}\.[\w-]{8,}\.[\w-]*$`) })
	longWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_~+-]{40,}=*$`) })
	// shortWord may be a token as well. The numbers of requests and traces are as long, and
	// in letters of one case; what a fault is called has no digits, or all of them behind it.
	shortWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_~+-]{24,39}=*$`) })
	faultWord = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z_-]*[0-9]*$`) })
)

// mayHoldToken says of a success in which no token was found whether there may
// be one all the same, for a person or a better program to find. There is none
// in an empty answer, in JSON without a refresh token by any name, in a sentence, in a
// page (no token endpoint answers with one, so something before it did), and in the
// beginning of an answer of which everything that is whole has been read. One that says
// nothing but what was sent brings none. Where an access token renews itself, it is as good
// as a refresh token.
func (a answer) mayHoldToken(c content) bool {
	text := bytes.TrimSpace(c.text)
	switch {
	case c.fault != "":
		return true
	case len(text) == 0:
		return false
	case json.Valid(text):
		return a.named(text, 0, false)
	case c.cut != "" && (text[0] == '{' || text[0] == '['):
		return false
	case isPage(text, a.mediaType()):
		return false
	}
	return refreshTokenText().Match(text) || a.isBareToken(string(text)) || a.inForm(string(text))
}

func isPage(text []byte, mediaType string) bool {
	start := strings.ToLower(string(text[:min(len(text), 64)]))
	return strings.HasPrefix(start, "<!doctype html") || strings.HasPrefix(start, "<html") ||
		mediaType == "text/html" && strings.HasPrefix(start, "<")
}

// named looks in JSON for a refresh token that has a value. of: what it stands in is
// called one.
func (a answer) named(raw json.RawMessage, depth int, of bool) bool {
	var object fields
	var list []json.RawMessage
	var text string
	switch {
	case json.Unmarshal(raw, &object) == nil:
		for name, v := range object {
			if refreshTokenName().MatchString(name) && a.isValue(v) || a.named(v, depth+1, of || a.mayBeNext(name)) {
				return true
			}
		}
		return depth > 2*deepest
	case json.Unmarshal(raw, &list) == nil:
		for _, v := range list {
			if a.named(v, depth+1, of) {
				return true
			}
		}
		return depth > 2*deepest
	case json.Unmarshal(raw, &text) != nil:
		return false
	}
	return refreshTokenText().MatchString(text) || of && a.isNew(text) || depth == 0 && a.isBareToken(text)
}

// isValue is of a member that is called a refresh token.
func (a answer) isValue(v json.RawMessage) bool {
	var text string
	if json.Unmarshal(v, &text) == nil { // and null
		return looksIssued(text) && a.brings(text)
	}
	return len(v) > len(`""`) && string(v) != "false" && string(v) != "true"
}

// mayBeNext says whether something of that name may be what the next token is got with.
func (a answer) mayBeNext(name string) bool {
	return (refreshName().MatchString(name) || a.Renews != "" && accessName().MatchString(name)) && !notOfToken().MatchString(name)
}

// isNew says whether a text may be a token that was not sent.
func (a answer) isNew(text string) bool {
	return len(text) >= 16 && looksIssued(text) && hasBoth(text) && !moments().MatchString(text) && a.brings(text)
}

// isBareToken says so of a text that is the whole answer.
func (a answer) isBareToken(text string) bool {
	return (jwt().MatchString(text) || longWord().MatchString(text) && hasBoth(text) || isShortToken(text)) && a.brings(text)
}

// isShortToken says so of a word that is no longer than the number of a request. A
// success that is nothing but a word is rare, so that this calls nobody in vain, and one
// that is a token is the only copy of a login.
func isShortToken(text string) bool {
	return shortWord().MatchString(text) && !faultWord().MatchString(text) &&
		strings.ContainsFunc(text, unicode.IsUpper) && strings.ContainsFunc(text, unicode.IsLower)
}

// hasBoth tells a token from a word, and from a number.
func hasBoth(text string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.IndexFunc(text, unicode.IsLetter) >= 0
}

// inForm looks in a form for a refresh token by another name.
func (a answer) inForm(text string) bool {
	form, err := url.ParseQuery(text)
	if err != nil || strings.ContainsAny(text, " \n<") {
		return false
	}
	for name := range form {
		if a.mayBeNext(name) && a.isNew(form.Get(name)) {
			return true
		}
	}
	return false
}
