package oauth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// read makes a token or an error of an answer. It is a pure function of its
// arguments: an answer out of the spool gives what it gave when it came.
func (e Endpoint) read(account string, a answer) (sdk.Token, error) {
	f := a.fields()
	if a.ok() && f.text("access_token") != "" {
		return e.token(a, f), nil
	}
	return sdk.Token{}, e.refusal(account, a, f)
}

func (a answer) ok() bool { return a.Status >= 200 && a.Status <= 299 }

func (e Endpoint) token(a answer, f fields) sdk.Token {
	life, uncertain := lifetime(f["expires_in"], e.DefaultLifetime)
	t := sdk.Token{
		AccessToken:     sdk.NewSecret(f.text("access_token")),
		RefreshToken:    sdk.NewSecret(f.text("refresh_token")),
		TokenType:       f.text("token_type"),
		Scope:           f.text("scope"),
		IDToken:         sdk.NewSecret(f.text("id_token")),
		IssuedAt:        a.Received,
		Lifetime:        life,
		Uncertain:       uncertain,
		RefreshLifetime: refreshLifetime(f["refresh_token_expires_in"]),
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
// says; a success that can't be read may have rotated the refresh token; all
// else is transient.
func (e Endpoint) refusal(account string, a answer, f fields) *sdk.Error {
	fail := func(kind sdk.Kind, code, format string, args ...any) *sdk.Error {
		return &sdk.Error{
			Kind: kind, HTTPStatus: a.Status, OAuthError: code,
			Message: fmt.Sprintf("account %s: %s ", account, e.host()) + fmt.Sprintf(format, args...),
		}
	}
	oauth, parsed := a.oauthError(f)
	wait, hasWait := retryAfter(a.RetryAfter, a.Date, a.Received)
	switch {
	case a.Incomplete != "" && !parsed:
		return fail(sdk.KindAmbiguous, "", "answered HTTP %d, but the answer is not whole: %s", a.Status, a.Incomplete)
	case a.Status == http.StatusTooManyRequests:
		err := fail(sdk.KindRateLimited, "", "asks for fewer requests (HTTP 429)")
		err.RetryAfter = wait
		return err
	case parsed:
		if err := e.refused(oauth, fail); err != nil {
			return err
		}
	case a.ok():
		return fail(sdk.KindAmbiguous, "", "answered HTTP %d without a readable token; the refresh token may be spent", a.Status)
	}
	if hasWait {
		err := fail(sdk.KindRateLimited, oauth.Code, "answered HTTP %d and asks to come back later", a.Status)
		err.RetryAfter = wait
		return err
	}
	if parsed {
		return fail(sdk.KindTransient, oauth.Code, "answered HTTP %d (%s); it will be tried again", a.Status, oauth.Code)
	}
	return fail(sdk.KindTransient, "", "answered HTTP %d, which is no OAuth error; it will be tried again", a.Status)
}

// refused gives the OAuth errors that decide something their kind; nil: the
// error decides nothing.
func (e Endpoint) refused(oauth OAuthError, fail func(sdk.Kind, string, string, ...any) *sdk.Error) *sdk.Error {
	var kind sdk.Kind
	if e.Classify != nil {
		kind = e.Classify(oauth)
	}
	if kind == "" {
		switch oauth.Code {
		case "invalid_grant":
			kind = sdk.KindInvalidGrant
		case "invalid_client", "unauthorized_client":
			kind = sdk.KindInvalidClient
		}
	}
	switch kind {
	case sdk.KindInvalidGrant:
		return fail(kind, oauth.Code, "refused the grant (HTTP %d, %s): unless a newer token turns up, someone must log in again",
			oauth.HTTPStatus, oauth.Code)
	case sdk.KindInvalidClient:
		return fail(kind, oauth.Code, "refused the client (HTTP %d, %s): check client_id and client_secret",
			oauth.HTTPStatus, oauth.Code)
	case "", sdk.KindTransient:
		return nil
	}
	return fail(kind, oauth.Code, "answered HTTP %d (%s)", oauth.HTTPStatus, oauth.Code)
}

// oauthError reads the error answer of RFC 6749, section 5.2. It is one only
// if it is a whole JSON object that does not call itself HTML, under a status
// that the RFC gives to errors, or under a 2xx, as some servers do.
func (a answer) oauthError(f fields) (OAuthError, bool) {
	if a.Status != http.StatusBadRequest && a.Status != http.StatusUnauthorized && !a.ok() {
		return OAuthError{}, false
	}
	code := f.text("error")
	if a.mediaType() == "text/html" || !isErrorCode(code) || !json.Valid(trimBOM(a.body)) {
		return OAuthError{}, false
	}
	return OAuthError{HTTPStatus: a.Status, Code: code, Description: f.text("error_description")}, true
}

// isErrorCode accepts the alphabet of the registered error codes and no more,
// because the code is printed: a token echoed by a server must not pass.
func isErrorCode(s string) bool {
	return s != "" && len(s) <= 48 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// fields are the answer's, by their exact names.
type fields map[string]json.RawMessage

// fields reads a JSON object, whatever the content type calls it and whatever
// stands behind it, and a form if the answer says that it is one.
func (a answer) fields() fields {
	var f fields
	if json.NewDecoder(bytes.NewReader(trimBOM(a.body))).Decode(&f) == nil {
		return f
	}
	if a.mediaType() == "application/x-www-form-urlencoded" {
		if form, err := url.ParseQuery(string(a.body)); err == nil {
			f = fields{}
			for k, v := range form {
				f[k], _ = json.Marshal(v[0])
			}
			return f
		}
	}
	return nil
}

func (a answer) mediaType() string {
	t, _, _ := mime.ParseMediaType(a.ContentType)
	return t
}

func trimBOM(b []byte) []byte { return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")) }

// text returns a field that is a string, or a number as it is written.
func (f fields) text(name string) string {
	raw := f[name]
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var n json.Number
	if json.Unmarshal(raw, &n) == nil {
		return n.String()
	}
	return ""
}
