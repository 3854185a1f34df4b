package backend

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// response is an authorization response (RFC 6749, section 4.1.2).
type response struct {
	code, state string
	issuer      string // RFC 9207; "": it does not say
}

// codeIn takes the authorization response out of the address that the broker
// sent the browser to (RFC 6749, section 4.1.2), which must be an address at
// redirectURL: another one was not made for this login. Its errors do not repeat
// the address, which may hold a code.
func codeIn(redirected, redirectURL string) (response, error) {
	u, err := url.Parse(redirected)
	if err != nil || u.Scheme == "" {
		return response{}, errors.New("this is not the whole address that the browser shows after the login; copy all of it")
	}
	if want, err := url.Parse(redirectURL); err == nil && redirectURL != "" && !leadsTo(u, want) {
		return response{}, fmt.Errorf("the address does not begin with the account's redirect_url, %s: it is another page's, or another account's; copy the one that the browser ends on", redirectURL)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return response{}, errors.New("the address is damaged; copy all of it, as the browser shows it after the login")
	}
	// RFC 6749, section 3.1: no parameter may come twice.
	for _, name := range []string{"code", "state", "error", "iss"} {
		if len(q[name]) > 1 {
			return response{}, fmt.Errorf("the address has more than one %s, which no broker sends: somebody may have put it together; log in again", name)
		}
	}
	switch {
	case q.Get("error") != "":
		return response{}, errors.New("the broker ended the login without a code (it says so in the address); log in again")
	case q.Get("code") == "" || q.Get("state") == "":
		return response{}, errors.New("the address has no code or no state; copy all of it, as the browser shows it after the login")
	}
	return response{code: q.Get("code"), state: q.Get("state"), issuer: q.Get("iss")}, nil
}

// leadsTo compares scheme, host, port and path. Browsers show an empty path as /
// and write host and scheme small.
func leadsTo(got, want *url.URL) bool {
	path := func(u *url.URL) string {
		if p := u.EscapedPath(); p != "" {
			return p
		}
		return "/"
	}
	return strings.EqualFold(got.Scheme, want.Scheme) && strings.EqualFold(got.Hostname(), want.Hostname()) &&
		port(got) == port(want) && path(got) == path(want)
}

// port is the one that the address names, or that its scheme stands for.
func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	case strings.EqualFold(u.Scheme, "http"):
		return "80"
	}
	return ""
}
