package providertest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Broker words the answers of the suite's authorization server, and says what it
// wants of requests.
type Broker struct {
	// Success is the answer to a request that is granted; its access token
	// lives [Lifetime]. Nil: 200 with the JSON of RFC 6749, section 5.1.
	Success func(accessToken, refreshToken string) (status int, body string)
	// InvalidGrant is the answer to a dead refresh token. Nil: 400
	// {"error":"invalid_grant"}.
	InvalidGrant func() (status int, body string)
	// InvalidClient is the answer to a client that is not known. Nil: 401
	// {"error":"invalid_client"}.
	InvalidClient func() (status int, body string)
	// Failure is an error that the broker puts into a success, beside the tokens
	// that are not empty. Nil: it does no such thing.
	Failure func(accessToken, refreshToken string) (status int, body string)
	// BeginLogin answers what a provider asks to begin a login of a shape. Nil: 200 with
	// the JSON of RFC 8628, section 3.2.
	BeginLogin func(sdk.LoginShape) (status int, body string)
	// Pending is the answer while the person is not done with a login that is polled.
	// Nil: 400 {"error":"authorization_pending"} (RFC 8628, section 3.5).
	Pending func() (status int, body string)
	// Beat is the answer to a call that keeps a session alive, when it is so; status 0:
	// the broker does not tell that. Nil: 200 if it is alive, 401 if it is gone.
	Beat func(sdk.Life) (status int, body string)
	// KeepsRefreshToken: a refresh leaves the refresh token as it is, and the broker
	// documents that. A provider of such a broker has no Policy.Rotates, and every
	// other one has it.
	KeepsRefreshToken bool
	// Moments: Success names the moment of the access token's death and no
	// lifetime, so that it is compared to a few seconds.
	Moments bool
	// JWT: the answer says nothing of the lifetime, but the access token is a JWT
	// with an exp.
	JWT bool

	// Get: the broker takes the parameters in the address of a GET, and no POST.
	Get bool
	// JSON: the parameters are a JSON object.
	JSON bool
	// Parameters are the broker's names for those of RFC 6749; "" where it has no
	// such parameter.
	Parameters map[string]string
	// Header has what each request must carry.
	Header map[string]string
	// Resource is what the login and each token request must name (RFC 8707).
	Resource []string
	// AssertionKey verifies the client's assertions (RFC 7523): *rsa.PublicKey,
	// *ecdsa.PublicKey (P-256) or ed25519.PublicKey. Nil: the client has a secret.
	AssertionKey crypto.PublicKey
	// Audience of the assertions; "": the token endpoint's address.
	Audience string

	rfc8628   bool // Pending was not set
	bareBeats bool // Beat was not set
}

// complete fills in what RFC 6749 and RFC 8628 say.
func (w Broker) complete() Broker {
	if w.Success == nil {
		w.Success = func(access, refresh string) (int, string) {
			return 200, fmt.Sprintf(`{"access_token":%q,"refresh_token":%q,"token_type":"Bearer","expires_in":%d}`,
				access, refresh, Lifetime/time.Second)
		}
	}
	if w.InvalidClient == nil {
		w.InvalidClient = func() (int, string) { return 401, `{"error":"invalid_client"}` }
	}
	if w.InvalidGrant == nil {
		w.InvalidGrant = func() (int, string) {
			return 400, `{"error":"invalid_grant","error_description":"` + bodyText + `"}`
		}
	}
	if w.BeginLogin == nil {
		w.BeginLogin = func(sdk.LoginShape) (int, string) {
			return 200, `{"device_code":"` + deviceCode + `","user_code":"WDJB-MJHT","verification_uri":"https://login.example/device","expires_in":1800,"interval":5}`
		}
	}
	if w.Pending == nil {
		w.Pending, w.rfc8628 = func() (int, string) { return 400, `{"error":"authorization_pending"}` }, true
	}
	if w.Beat == nil {
		w.Beat, w.bareBeats = bareBeat, true
	}
	return w
}

func bareBeat(life sdk.Life) (status int, body string) {
	switch life {
	case sdk.Alive:
		return 200, `{}`
	case sdk.Gone:
		return 401, `{}`
	}
	return 0, ""
}

func (w Broker) method() string {
	if w.Get {
		return http.MethodGet
	}
	return http.MethodPost
}

// parameters are those of a request by the RFC's names.
func (w Broker) parameters(r *http.Request) url.Values {
	var form url.Values
	switch {
	case w.Get:
		form = r.URL.Query()
	case w.JSON:
		form = url.Values{}
		var object map[string]string
		if body, err := io.ReadAll(r.Body); err == nil && json.Unmarshal(body, &object) == nil {
			for name, value := range object {
				form.Set(name, value)
			}
		}
	default:
		_ = r.ParseForm()
		form = r.PostForm
	}
	for name, theirs := range w.Parameters {
		if form.Has(theirs) {
			form.Set(name, form.Get(theirs))
		}
	}
	if theirs, renamed := w.Parameters["grant_type"]; renamed && theirs == "" {
		form.Set("grant_type", "refresh_token")
		if form.Has("code") {
			form.Set("grant_type", "authorization_code")
		}
	}
	return form
}

// judge notes what is wrong with the words of a request.
func (b *broker) judge(r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	fault := func(format string, args ...any) { b.faults = append(b.faults, fmt.Sprintf(format, args...)) }
	w := b.words
	if w.Get && !strings.Contains(r.Header.Get("Cache-Control"), "no-store") {
		fault("a GET with a token in its address does not forbid to store it (Cache-Control: no-store)")
	}
	if w.JSON && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		fault("the request does not say that it is JSON")
	}
	for name, want := range w.Header {
		if r.Header.Get(name) != want {
			fault("the request lacks the header %s: %s", name, want)
		}
	}
	if len(w.Resource) > 0 && !slices.Equal(r.PostForm["resource"], w.Resource) {
		fault("the request does not name the resource (RFC 8707): %v", r.PostForm["resource"])
	}
	if w.AssertionKey == nil {
		return
	}
	if why := b.judgeAssertion(r.PostForm); why != "" {
		fault("the client's assertion: %s", why)
	}
}

// judgeAssertion: RFC 7523, sections 2.2 and 3. b.mu is held.
func (b *broker) judgeAssertion(form url.Values) string {
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return "client_assertion_type is another one or missing"
	}
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		return "it is no JWT"
	}
	var claims struct {
		Audience string `json:"aud"`
		ID       string `json:"jti"`
		Expires  int64  `json:"exp"`
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	signature, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || err2 != nil || json.Unmarshal(payload, &claims) != nil {
		return "it can't be decoded"
	}
	audience, now := b.words.Audience, time.Now().Unix()
	if audience == "" {
		audience = b.url()
	}
	switch {
	case !verifies(b.words.AssertionKey, []byte(parts[0]+"."+parts[1]), signature):
		return "its signature is wrong"
	case claims.Audience != audience:
		return "its aud is another one"
	case claims.Expires <= now || claims.Expires > now+600:
		return "its exp is past, or more than ten minutes away"
	case claims.ID == "" || b.assertions[claims.ID]:
		return "its jti is missing or was used before: each request needs an assertion of its own"
	}
	b.assertions[claims.ID] = true
	return ""
}

func verifies(key crypto.PublicKey, text, signature []byte) bool {
	sum := sha256.Sum256(text)
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
	case *ecdsa.PublicKey:
		return len(signature) == 64 && ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(key, text, signature)
	}
	return false
}
