package oauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// read makes a token or an error of an answer. It is a pure function of its
// arguments: an answer out of the spool gives what it gave when it came. A
// token without an access token brings a refresh token and nothing else.
func (e Endpoint) read(account string, a answer) (sdk.Token, error) {
	c := a.content()
	f, rescued, doubt := e.fields(c, a.mediaType())
	refusal, failed := e.refusal(account, a, c, f)
	if !a.ok() || !f.tokens() {
		return sdk.Token{}, refusal
	}
	if failed && e.Errors.declared() { // the access token beside it is none
		if doubt == "" && !a.brings(f.text("refresh_token")) {
			return sdk.Token{}, refusal
		}
		f = maps.Clone(f)
		delete(f, "access_token")
		if rescued == "" {
			rescued = sdk.RescuedBesideError
		}
	}
	decided := refusal.Kind == sdk.KindInvalidGrant || refusal.Kind == sdk.KindInvalidClient
	if f.text("access_token") == "" && decided {
		if !a.brings(f.text("refresh_token")) || a.Sent == "" && !a.Exchange {
			return sdk.Token{}, refusal // its refresh token is an echo
		}
		if a.Exchange && rescued == "" {
			rescued = sdk.RescuedBesideError
		}
	}
	if doubt != "" {
		return sdk.Token{}, e.unread(account, a, doubt)
	}
	t := e.token(a, f)
	t.Rescued = rescued
	return t, nil
}

// brings says whether a refresh token is another one than that which was sent;
// where none was, or nobody knows which, whether it looks like one. Nor is it the access
// token that was sent.
func (a answer) brings(refreshToken string) bool {
	if a.Sent == "" {
		return looksIssued(refreshToken) && (a.Renews == "" || sdk.NewSecret(refreshToken).Fingerprint() != a.Renews)
	}
	return strings.TrimSpace(refreshToken) != "" && sdk.NewSecret(refreshToken).Fingerprint() != a.Sent
}

func (a answer) ok() bool { return a.Status >= 200 && a.Status <= 299 }

func (e Endpoint) token(a answer, f fields) sdk.Token {
	life, uncertain := e.accessLifetime(a, f)
	t := sdk.Token{
		AccessToken:     sdk.NewSecret(f.text("access_token")),
		RefreshToken:    sdk.NewSecret(f.text("refresh_token")),
		TokenType:       f.text("token_type"),
		Scope:           f.text("scope"),
		IDToken:         sdk.NewSecret(f.text("id_token")),
		IssuedAt:        a.Received,
		Lifetime:        life,
		Uncertain:       uncertain,
		RefreshLifetime: e.refreshTokenLifetime(a, f),
	}
	if date, err := http.ParseTime(a.Date); err == nil {
		t.Skew = date.Sub(a.Received)
	}
	for _, name := range e.Extra {
		if v := f.text(name); v != "" {
			if t.Extra == nil {
				t.Extra = map[string]string{}
			}
			t.Extra[name] = v
		}
	}
	for name, v := range a.Private {
		if t.Private == nil {
			t.Private = map[string]sdk.Secret{}
		}
		t.Private[name] = sdk.NewSecret(v)
	}
	return t
}

// refusal sorts an answer without a token. In this order: an incomplete answer
// tells nothing; a 429 is about the rate; a parsed OAuth error means what it
// says; a success that can't be read may have rotated the refresh token, and
// may hold the new one; all else is transient. failed: it is a parsed error.
func (e Endpoint) refusal(account string, a answer, c content, f fields) (_ *sdk.Error, failed bool) {
	oauth, parsed := e.oauthError(a, c, f)
	return e.sorted(account, a, c, oauth, parsed), parsed
}

func (e Endpoint) sorted(account string, a answer, c content, oauth OAuthError, parsed bool) *sdk.Error {
	fail := func(kind sdk.Kind, code, format string, args ...any) *sdk.Error {
		return &sdk.Error{
			Kind: kind, HTTPStatus: a.Status, OAuthError: code,
			Message: fmt.Sprintf("account %s: %s ", account, e.host()) + fmt.Sprintf(format, args...),
		}
	}
	shown := e.Errors.shown(a, oauth.Code)
	wait, hasWait := retryAfter(a.RetryAfter, a.Date, a.Received)
	switch {
	case a.ok() && !parsed && a.mayHoldToken(c):
		return e.unread(account, a, c.unread())
	case a.Incomplete != "" && !parsed:
		return fail(sdk.KindAmbiguous, "", "answered HTTP %d, but the answer is not whole: %s", a.Status, a.Incomplete)
	case a.Status == http.StatusTooManyRequests:
		err := fail(sdk.KindRateLimited, "", "asks for fewer requests (HTTP 429)")
		err.RetryAfter = wait
		return err
	case parsed:
		kind := e.kindOf(oauth)
		if kind == "" && !slices.Contains(registered, oauth.Code) {
			kind = e.Errors.statusKind(a, c)
		}
		if err := decided(kind, a.Status, shown, fail); err != nil {
			return err
		}
	case e.Errors.statusKind(a, c) != "":
		if err := decided(e.Errors.statusKind(a, c), a.Status, "", fail); err != nil {
			return err
		}
	case a.ok() && c.cut != "":
		return fail(sdk.KindAmbiguous, "", "answered HTTP %d, but the answer is not whole: %s", a.Status, c.cut)
	case a.ok():
		return fail(sdk.KindAmbiguous, "", "answered HTTP %d without a token%s; the refresh token may be spent", a.Status, a.stranger(c))
	}
	if hasWait {
		err := fail(sdk.KindRateLimited, shown, "answered HTTP %d and asks to come back later", a.Status)
		err.RetryAfter = wait
		return err
	}
	if parsed {
		return fail(sdk.KindTransient, shown, "answered HTTP %d (%s); it will be tried again", a.Status, or(shown, "an error of its own"))
	}
	return fail(sdk.KindTransient, "", "answered HTTP %d, which is no OAuth error%s; it will be tried again", a.Status, a.stranger(c))
}

// unread leaves a success to a person, or to a better program.
func (e Endpoint) unread(account string, a answer, why string) *sdk.Error {
	next := "refresh token"
	if a.Renews != "" {
		next = "access token"
	}
	return &sdk.Error{
		Kind: sdk.KindAmbiguous, HTTPStatus: a.Status, Unread: true,
		Message: fmt.Sprintf("account %s: %s answered HTTP %d, and nobody could read the answer (%s): it may hold the new %s",
			account, e.host(), a.Status, why, next),
	}
}

// kindOf is the kind of an OAuth error by its code; "": that decides nothing.
func (e Endpoint) kindOf(oauth OAuthError) sdk.Kind {
	if e.Classify != nil {
		if kind := e.Classify(oauth); kind != "" {
			return kind
		}
	}
	if kind := e.Errors.Kinds[oauth.Code]; kind != "" {
		return kind
	}
	switch oauth.Code {
	case "invalid_grant":
		return sdk.KindInvalidGrant
	case "invalid_client", "unauthorized_client":
		return sdk.KindInvalidClient
	}
	return ""
}

// registered are the error codes of RFC 6749, sections 4.1.2.1 and 5.2: they mean
// what it says, under whatever status.
var registered = []string{
	"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
	"access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable",
}

// decided is the error of a kind; nil: it is none that decides anything.
func decided(kind sdk.Kind, status int, code string, fail func(sdk.Kind, string, string, ...any) *sdk.Error) *sdk.Error {
	said := or(code, "in its own words")
	switch kind {
	case sdk.KindInvalidGrant:
		return fail(kind, code, "refused the grant (HTTP %d, %s)", status, said)
	case sdk.KindInvalidClient:
		return fail(kind, code, "refused the client (HTTP %d, %s): check client_id and client_secret", status, said)
	case sdk.KindPending:
		return fail(kind, code, "still waits for the person (HTTP %d, %s)", status, said)
	case "", sdk.KindTransient:
		return nil
	}
	return fail(kind, code, "answered HTTP %d (%s)", status, said)
}

// oauthError reads an error in the server's own words, or else the error answer of
// RFC 6749, section 5.2. The latter is one only if it is a whole JSON object that
// does not call itself HTML, under a status that the RFC or the provider gives to
// errors, or under a 2xx, as some servers do.
func (e Endpoint) oauthError(a answer, c content, f fields) (OAuthError, bool) {
	if e.Errors.declared() {
		own, refused, granted := e.Errors.error(a, c)
		// What its own words call a success, or a token without a word, is no error.
		if refused || a.ok() && (granted || f.text("access_token") != "") {
			return own, refused
		}
	}
	if a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized && !a.ok() && e.Errors.statusKind(a, c) == "" {
		return OAuthError{}, false
	}
	code := f.text("error")
	if a.mediaType() == "text/html" || !isErrorCode(code) || !json.Valid(c.text) {
		return OAuthError{}, false
	}
	said := OAuthError{HTTPStatus: a.Status, Code: code, Description: f.text("error_description")}
	if e.Inner != nil {
		if inner := e.Inner(said); isErrorCode(inner) {
			said.Code = inner
		}
	}
	return said, true
}

// isErrorCode accepts the alphabet of the registered error codes and no more,
// because the code is printed: a token echoed by a server must not pass.
func isErrorCode(s string) bool {
	return s != "" && len(s) <= 48 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

func (a answer) mediaType() string {
	t, _, _ := mime.ParseMediaType(a.ContentType)
	return t
}
