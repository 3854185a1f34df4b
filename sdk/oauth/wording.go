package oauth

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Answers is how a server words a granted answer where it leaves RFC 6749,
// section 5.1; the zero value: it does not. It helps to find a token, and never
// hides one: what stands elsewhere is looked for as ever.
//
// Members are named by their path: "data.token" is the member token of the object
// data, and "list.0" the first value of a list.
type Answers struct {
	// Root is the object in which the members stand, e.g. "data" (Zerodha) or
	// "result" (Deribit); "": the answer itself.
	Root string
	// Names are the server's names for the members of RFC 6749 and for
	// refresh_token_expires_in, the first one that has a value counts: cTrader's
	// {"access_token": {"accessToken"}, "expires_in": {"expiresIn"}, …}.
	Names map[string][]string
	// Unit of the lifetimes; 0: a second, as the RFC has it.
	Unit time.Duration
	// ExpiresAt is the member that holds the moment of the access token's death,
	// for answers without a lifetime: a date and time of RFC 3339, the same without
	// a zone, or the seconds or milliseconds since 1970 (Webull sends either),
	// as a number or a text.
	ExpiresAt string
	// Zone of an ExpiresAt that names none, e.g. Dhan's Asia/Kolkata; nil: UTC.
	Zone *time.Location
	// JWT reads the claim exp (RFC 7519, section 4.1.4) of tokens that are JWTs
	// where the answer says nothing else, as TradeLocker's own client does for
	// both tokens. The JWT is not verified: it came from the token endpoint.
	JWT bool
}

// Errors is how a server words its refusals where it leaves RFC 6749, section
// 5.2; the zero value: it does not. With a Code or Kinds, an answer is an error
// under any status of 2xx and 4xx, and no access token beside an error is
// believed; a new refresh token beside it is kept all the same.
type Errors struct {
	// Code is the member with the error's code, by its path in the whole answer:
	// cTrader's errorCode, Deribit's error.code, HubSpot's status; "": error, which
	// is looked at all the same where Code says nothing. It
	// is an error if it is there and neither null, empty, zero nor false.
	Code string
	// Description likewise, for [Endpoint.Classify]; "": error_description.
	Description string
	// Success are the values of Code that mean that all is well, e.g. "ok".
	Success []string
	// Kinds of errors by their code, as the broker documents it. Other codes mean
	// what RFC 6749 says of them, or what Statuses says, or are transient; they are
	// shown to people only if they look like codes, because a server may echo anything.
	Kinds map[string]sdk.Kind
	// Statuses are kinds of refusals by their status in 400 to 499: Questrade's plain
	// 400 is a dead refresh token. An error in the body goes before it if Kinds,
	// [Endpoint.Classify] or RFC 6749 know its code. Pages, long texts that are no
	// JSON, and the statuses 408 and 429 are never meant.
	Statuses map[int]sdk.Kind
}

func (e Errors) declared() bool { return e.Code != "" || len(e.Kinds) > 0 }

// fields finds the answer's members: where the server is known to put them, and
// otherwise wherever they are.
func (e Endpoint) fields(c content, mediaType string) (f fields, rescued, doubt string) {
	if f := e.Answers.fields(c, mediaType); f.tokens() {
		return c.completed(f, false)
	}
	return c.fields(mediaType)
}

// fields are the members in their declared place by the RFC's names; nil: nothing
// is declared, or there is no such place.
func (w Answers) fields(c content, mediaType string) fields {
	if c.fault != "" || w.Root == "" && len(w.Names) == 0 {
		return nil
	}
	place := fields{"": topOf(c, mediaType)}.at("." + w.Root)
	if w.Root == "" {
		place = topOf(c, mediaType)
	}
	var object fields
	if json.Unmarshal(place, &object) != nil || object == nil {
		return nil
	}
	f := maps.Clone(object)
	for name, theirs := range w.Names {
		for _, path := range theirs {
			if raw := object.at(path); (fields{"": raw}).text("") != "" {
				f[name] = raw
				break
			}
		}
	}
	return f
}

// topOf is the JSON value that the answer is, or the form that it is as one.
func topOf(c content, mediaType string) json.RawMessage {
	var top json.RawMessage
	if json.NewDecoder(bytes.NewReader(c.text)).Decode(&top) == nil {
		return top
	}
	if form := formOf(c.text, mediaType); form != nil {
		top, _ = json.Marshal(form)
	}
	return top
}

// at is the value at a path; nil: there is none. A member whose name holds a dot
// is found by its name.
func (f fields) at(path string) json.RawMessage {
	if raw, ok := f[path]; ok {
		return raw
	}
	first, rest, more := strings.Cut(path, ".")
	raw := f[first]
	for more && raw != nil {
		first, rest, more = strings.Cut(rest, ".")
		var object fields
		var list []json.RawMessage
		i, err := strconv.Atoi(first)
		switch {
		case json.Unmarshal(raw, &object) == nil:
			raw = object[first]
		case err == nil && json.Unmarshal(raw, &list) == nil && i >= 0 && i < len(list):
			raw = list[i]
		default:
			raw = nil
		}
	}
	return raw
}

// error reads the refusal of a server with words of its own. granted: they say that
// all is well.
func (w Errors) error(a answer, c content) (_ OAuthError, refused, granted bool) {
	clientError := a.Status >= 400 && a.Status <= 499 && a.Status != http.StatusRequestTimeout
	var top fields
	if !a.ok() && !clientError || a.mediaType() == "text/html" || !json.Valid(c.text) || json.Unmarshal(c.text, &top) != nil {
		return OAuthError{}, false, false
	}
	raw := top.at(or(w.Code, "error"))
	code := fields{"": raw}.text("")
	if string(raw) == "true" {
		code = "true"
	}
	if code == "" || code == "0" || slices.Contains(w.Success, code) {
		return OAuthError{}, false, code != ""
	}
	return OAuthError{
		HTTPStatus: a.Status, Code: code,
		Description: fields{"": top.at(or(w.Description, "error_description"))}.text(""),
	}, true, false
}

// statusKind is the kind that a refusal has by its status, unless its body names an
// error that is known; "": none.
func (w Errors) statusKind(a answer, c content) sdk.Kind {
	text := bytes.TrimSpace(c.text)
	if a.Status < 400 || a.Status > 499 || a.Status == http.StatusRequestTimeout || a.Status == http.StatusTooManyRequests ||
		a.Incomplete != "" || c.fault != "" || len(text) > 256 && !json.Valid(text) ||
		a.mediaType() == "text/html" || bytes.HasPrefix(text, []byte("<")) {
		return ""
	}
	return w.Statuses[a.Status]
}

// codeLike are the codes of brokers: words and numbers such as CH_TOKEN_INVALID,
// AG8001, DH-901, -32602. A token is none, with letters and digits in any order.
var codeLike = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(-?[0-9]{1,8}|[A-Z]{1,6}-[0-9]{1,8}|[A-Za-z]{1,24}[0-9]{0,8}([_.: ]([A-Za-z]{1,24}[0-9]{0,8}|[0-9]{1,8}))*)$`)
})

// shown is an error's code as people may see it; "": it may be anything, as what
// was sent.
func (w Errors) shown(a answer, code string) string {
	if _, known := w.Kinds[code]; known || isErrorCode(code) {
		return code
	}
	if len(code) > 48 || !codeLike().MatchString(code) || a.Sent != "" && sdk.NewSecret(code).Fingerprint() == a.Sent {
		return ""
	}
	return code
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
