package hearsay

import (
	"bytes"
	"regexp"
	"sync"
)

var (
	// labelled is a value that is called a secret, as in a form, in JSON, in
	// YAML or in a sentence.
	labelled = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)(?:access_?token|refresh_?token|id_?token|client_?secret|app_?secret|code_?verifier|client_?assertion|password|passphrase|api_?key)` +
			`\\*["']?\s*(?:=|:|=>)\s*\\*["']?([^\s"'\\&,;{}<>()\[\]]{6,})`)
	})
	// credentials are those of an Authorization header (RFC 7235).
	credentials = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)\b(?:bearer|basic)\s+([a-z0-9._~+/=-]{16,})`) })
	// webToken is a JSON web token (RFC 7519): its header begins with {".
	webToken = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?`)
	})
	// code of an authorization, in an address.
	code = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[?&]code=([^\s"'&]{6,})`) })
	// userinfo is a password in an address.
	userinfo = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[a-z][a-z0-9+.-]*://[^\s/:@"']*:([^\s/@"']+)@`) })
)

// shapes finds what looks like a secret, whether anybody knows it or not.
func shapes(text []byte, f func(from, to int)) {
	find := func(re *regexp.Regexp, looksLikeOne func([]byte) bool) {
		for _, m := range re.FindAllSubmatchIndex(text, -1) {
			from, to := m[len(m)-2], m[len(m)-1]
			if looksLikeOne == nil || looksLikeOne(text[from:to]) {
				f(from, to)
			}
		}
	}
	lower := bytes.ToLower(text)
	has := func(words ...string) bool {
		for _, w := range words {
			if bytes.Contains(lower, []byte(w)) {
				return true
			}
		}
		return false
	}
	if has("token", "secret", "verifier", "assertion", "password", "passphrase", "key") {
		find(labelled(), nil)
	}
	if has("bearer", "basic") {
		find(credentials(), isNoWord)
	}
	if has("eyj") {
		find(webToken(), nil)
	}
	if has("code=") {
		find(code(), nil)
	}
	if has("://") {
		find(userinfo(), nil)
	}
}

// isNoWord tells a credential from "Basic authentication".
func isNoWord(value []byte) bool {
	return len(value) > 24 || bytes.ContainsAny(value, "0123456789+/=_") || !bytes.Equal(bytes.ToLower(value), value)
}
