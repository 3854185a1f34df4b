package format

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Salvage looks at what no [Decode] can read. rest says whether a token may be there, or
// may have been: all that is written and is neither blank nor JSON without a word of
// tokens. d has the refresh token, if one stands whole in JSON that is cut off or
// damaged, or [Document.Several], if others stand beside it: nothing else of such a file is
// believed. That it has none says nothing.
func Salvage(b []byte) (d Document, rest bool) {
	b = bytes.Trim(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n\x00") // NUL: what a loss of power leaves of a file
	var whole any
	switch {
	case len(b) == 0:
		return d, false
	case json.Unmarshal(b, &whole) == nil: // of a layout that nobody here knows
		return d, speaksOfToken(whole)
	}
	var found []sdk.Secret
	for _, m := range wholeRefreshToken.FindAllSubmatch(b, -1) {
		if token := sdk.NewSecret(string(m[1])); !slices.ContainsFunc(found, token.Equal) {
			found = append(found, token)
		}
	}
	switch len(found) {
	case 0:
	case 1:
		d.RefreshToken = found[0]
	default:
		d.Several = found
	}
	return d, true
}

// wholeRefreshToken is one with both its quotes. One with an escape in it is left to people.
var wholeRefreshToken = regexp.MustCompile(`"refresh_token"\s*:\s*"([^"\\\x00-\x1f]+)"`)

// nameOfToken is what a token of a grant is called, and not one of a messenger's.
var nameOfToken = regexp.MustCompile(`(?i)refresh|^(access|auth|oauth)?[_-]?token$`)

// speaksOfToken says whether a key in a JSON value is about tokens, and has something.
func speaksOfToken(v any) bool {
	switch v := v.(type) {
	case []any:
		if slices.ContainsFunc(v, speaksOfToken) {
			return true
		}
	case map[string]any:
		for key, e := range v {
			text, isText := e.(string)
			if isText && text != "" && nameOfToken.MatchString(key) || speaksOfToken(e) {
				return true
			}
		}
	}
	return false
}
