package brokersim

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxRequestBody is far above any honest token request.
const maxRequestBody = 64 << 10

// desk reads the requests that ask for tokens, knows the client, and grants or refuses.
type desk struct {
	persons
	// assertions are the ids of those that were used, lastStep the newest TOTP code
	// of each account.
	assertions map[string]bool
	lastStep   map[string]int64
	// secrets are the client's; nil: Config.ClientSecret is.
	secrets []string
}

// TakeSecrets makes these the client's secrets from now on, in the place of those
// before: a broker that replaces one takes the old and the new for a while.
func (s *desk) TakeSecrets(secrets ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets = slices.Clone(secrets)
}

// secretIs says whether a secret is the client's. s.mu is held.
func (s *desk) secretIs(secret string) bool {
	if s.secrets == nil {
		return same(secret, s.cfg.ClientSecret)
	}
	return slices.ContainsFunc(s.secrets, func(taken string) bool { return same(secret, taken) })
}

// parseTokenRequest reads a token request as strictly as RFC 6749 allows or
// stricter. The form is returned even if it is refused, so that the account
// can be told.
func (s *desk) parseTokenRequest(r *http.Request) (url.Values, *refusal) {
	invalid := func(detail string) *refusal { return &refusal{code: codeInvalidRequest, detail: detail} }
	if s.rules.query {
		return parseQuery(r, invalid)
	}
	// Section 2.3.1: credentials MUST NOT be included in the request URI;
	// nothing else belongs there either.
	if r.URL.RawQuery != "" {
		return nil, invalid("the token endpoint takes no query")
	}
	// Section 4.1.3 and appendix B.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return nil, invalid("Content-Type has to be application/x-www-form-urlencoded")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBody+1))
	if err != nil || len(body) > maxRequestBody {
		// A client that still sends when the connection is closed never sees
		// the answer, so the rest is read first, as a front end would.
		io.Copy(io.Discard, io.LimitReader(r.Body, 16*maxRequestBody))
		return nil, invalid("the body can't be read or is too long")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return form, invalid("the body is not form encoded")
	}
	// Section 3.2: parameters MUST NOT be included more than once.
	if name := repeated(form); name != "" {
		return form, invalid("parameter " + name + " is repeated")
	}
	return form, nil
}

// parseQuery reads the parameters of a broker that has them in the address.
func parseQuery(r *http.Request, invalid func(string) *refusal) (url.Values, *refusal) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return form, invalid("the query is malformed")
	}
	if name := repeated(form); name != "" {
		return form, invalid("parameter " + name + " is repeated")
	}
	if n, err := io.ReadAll(io.LimitReader(r.Body, 1)); err != nil || len(n) > 0 {
		return form, invalid("the parameters belong into the address, and nothing into a body")
	}
	return form, nil
}

// checkTokenRequest authenticates the client and checks the fields.
func (s *desk) checkTokenRequest(r *http.Request, form url.Values) *refusal {
	grantType := form.Get("grant_type")
	switch known := s.grantTypes(); {
	case grantType == "":
		return &refusal{code: codeInvalidRequest, detail: "grant_type is missing"}
	case !slices.Contains(known, grantType):
		return &refusal{code: codeUnsupportedGrantType, detail: "grant_type has to be " + strings.Join(known, " or ")}
	}
	inBody, refused := s.authenticate(r, form)
	if refused != nil {
		return refused
	}
	rules := fieldRules{required: []string{"device_code"}, optional: []string{"client_id"}} // RFC 8628, section 3.4
	if grantType != grantDevice {
		rules = s.rules.fields(grantType, s.cfg.PKCE)
	}
	for _, name := range rules.required {
		if form.Get(name) == "" {
			return &refusal{code: codeInvalidRequest, detail: name + " is missing"}
		}
	}
	for name := range form {
		known := name == "grant_type" || slices.Contains(rules.required, name) || slices.Contains(rules.optional, name) ||
			inBody && (name == "client_id" || name == "client_secret")
		if !known {
			return &refusal{code: codeInvalidRequest, detail: "parameter " + printable(name) + " does not belong to this request"}
		}
	}
	return nil
}

func (s *site) grantTypes() []string {
	types := s.rules.grantTypes
	if types == nil {
		types = []string{grantCode, grantRefresh}
	}
	if s.cfg.Device {
		types = append(slices.Clone(types), grantDevice)
	}
	if s.rules.personalJWT && s.cfg.ClientKey != nil {
		types = append(slices.Clone(types), grantPersonal)
	}
	return types
}

// authenticate checks the client (RFC 6749, sections 2.3.1 and 3.2.1) and says
// whether its credentials stand in the body.
func (s *desk) authenticate(r *http.Request, form url.Values) (inBody bool, _ *refusal) {
	invalid := &refusal{code: codeInvalidClient, detail: "client authentication failed"}
	header := r.Header.Get("Authorization")
	inBody = form.Has("client_secret")
	switch {
	case s.rules.clientless:
		if header != "" || inBody {
			return false, &refusal{code: codeInvalidClient, detail: "a request names no client here"}
		}
		return false, nil
	case s.rules.assertion:
		if why := s.checkAssertion(form); why != "" {
			return false, &refusal{code: codeInvalidClient, detail: why}
		}
		return false, nil
	case s.cfg.PKCE:
		if header != "" || inBody {
			return false, &refusal{code: codeInvalidClient, detail: "this client is public and has no secret"}
		}
		if form.Has("client_id") && form.Get("client_id") != s.cfg.ClientID {
			return false, invalid
		}
		return false, nil
	case header != "" && inBody:
		// Section 2.3: not more than one method in a request.
		return false, &refusal{code: codeInvalidRequest, detail: "credentials in the header and in the body"}
	case inBody && s.rules.secretInBody:
		if !same(form.Get("client_id"), s.cfg.ClientID) || !s.secretIs(form.Get("client_secret")) {
			return true, invalid
		}
		return true, nil
	case s.rules.basic:
		id, secret, ok := r.BasicAuth()
		if !ok || !s.clientIs(id, secret) {
			return false, invalid
		}
		return false, nil
	}
	return false, invalid
}

// clientIs compares Basic credentials. Section 2.3.1 has them form-encoded
// before they go into the header; brokers document the plain form. Both are
// taken, because they differ only for unusual characters. s.mu is held.
func (s *desk) clientIs(id, secret string) bool {
	if same(id, s.cfg.ClientID) && s.secretIs(secret) {
		return true
	}
	id, err1 := url.QueryUnescape(id)
	secret, err2 := url.QueryUnescape(secret)
	return err1 == nil && err2 == nil && same(id, s.cfg.ClientID) && s.secretIs(secret)
}

// repeated names a parameter that stands there more than once.
func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) > 1 {
			return printable(name)
		}
	}
	return ""
}

// printable keeps what a client sent out of terminals and logs.
func printable(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '?'
	}, name)
	return clean[:min(len(clean), 40)]
}
