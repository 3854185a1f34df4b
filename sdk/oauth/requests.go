package oauth

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// Requests is what an authorization server wants of token requests beyond RFC
// 6749; the zero value: nothing. However a request is worded, it is one for each
// attempt, and its answer is spooled.
type Requests struct {
	// Encoding of the parameters; "": a form.
	Encoding Encoding
	// Header is added to each request, over what this package would send, e.g. a
	// User-Agent of the form product/version, without which tastytrade refuses
	// (developer.tastytrade.com, "Authentication"), or Zerodha's X-Kite-Version.
	Header map[string]string
	// Resource names what the access token is for (RFC 8707, section 2): each an
	// absolute URL without a fragment. It goes with the login, the exchange and
	// every refresh, as the MCP authorization specification demands.
	Resource []string
	// Assertion authenticates the client instead of a secret; nil: it does not.
	Assertion *Assertion
	// Certificate authenticates the client by mutual TLS (RFC 8705, section 2),
	// together with its client_id in the parameters; nil: it does not.
	Certificate *tls.Certificate
}

// Encoding is how the parameters of a token request travel.
type Encoding string

const (
	// EncodingForm is the POST of a form (RFC 6749, appendix B).
	EncodingForm Encoding = ""
	// EncodingJSON is the POST of a JSON object with a text for each parameter,
	// as tastytrade, TradeLocker and Fyers want it.
	EncodingJSON Encoding = "json"
	// EncodingQuery is a GET with the parameters in the address, as cTrader and
	// Questrade want it. It is for servers that take no POST and for no others:
	// RFC 6749, sections 2.3.1 and 3.2, forbid it, because addresses are written
	// into logs. The provider's process warns of it once, and
	// asks everybody on the way to store nothing.
	EncodingQuery Encoding = "query"
)

// fault says why nothing can be sent this way; "": it can.
func (r Requests) fault() string {
	switch r.Encoding {
	case EncodingForm, EncodingJSON, EncodingQuery:
	default:
		return fmt.Sprintf("the provider knows no encoding %q of a token request (Requests.Encoding)", r.Encoding)
	}
	for name, value := range r.Header {
		if name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) }) ||
			strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Sprintf("the header %q of a token request can't be sent", name)
		}
	}
	for _, raw := range r.Resource {
		if u, err := url.Parse(raw); err != nil || !u.IsAbs() || u.Fragment != "" {
			return fmt.Sprintf("the resource %q is not an absolute URL without a fragment", raw)
		}
	}
	if r.Assertion != nil {
		return r.Assertion.fault()
	}
	return ""
}

// amend adds to x/oauth2's form what the client's authentication and the
// resource need.
func (r Requests) amend(form url.Values, e Endpoint, clientID string) error {
	if e.AuthStyle == AuthNone {
		form.Del("client_id")
		form.Del("client_secret")
	}
	if len(r.Resource) > 0 {
		form["resource"] = r.Resource
	}
	if r.Assertion == nil {
		return nil
	}
	jwt, err := r.Assertion.sign(clientID, e.TokenURL, time.Now())
	if err != nil {
		return err
	}
	form.Del("client_secret")
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", jwt)
	return nil
}

// encode puts the form into out.
func (r Requests) encode(form url.Values, out *http.Request) error {
	var body []byte
	switch r.Encoding {
	case EncodingQuery:
		query := out.URL.Query()
		maps.Copy(query, form)
		u := *out.URL
		u.RawQuery = query.Encode()
		out.URL, out.Method = &u, http.MethodGet
		out.Body, out.ContentLength = http.NoBody, 0
		out.Header.Del("Content-Type")
		out.Header.Set("Cache-Control", "no-store") // RFC 9111, section 5.2.1.5
		out.Header.Set("Pragma", "no-cache")
		return nil
	case EncodingJSON:
		object := make(map[string]any, len(form))
		for name, values := range form {
			object[name] = values
			if len(values) == 1 {
				object[name] = values[0]
			}
		}
		var err error
		if body, err = json.Marshal(object); err != nil {
			return errors.New("the request's parameters can't be made JSON")
		}
		out.Header.Set("Content-Type", "application/json")
	default:
		body = []byte(form.Encode())
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.ContentLength = int64(len(body))
	return nil
}
