package login

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Errors of the shapes of a login.
var (
	// ErrNoShape: the provider has no login of that shape, or nobody here knows it.
	ErrNoShape = errors.New("there is no such login")
	// ErrNothingToHandIn: the login that is open goes on by itself.
	ErrNothingToHandIn = errors.New("this login takes nothing from a person")
)

// shapes are the shapes of login that a provider has.
type shapes struct {
	all []sdk.LoginShape // the usual one first
	// redirects: its redirect is that of an [sdk.Authorizer].
	redirects bool
}

// Shapes are the shapes of login that a provider has, the usual one first.
func Shapes(d sdk.Description) []sdk.LoginShape { return shapesOf(d).all }

func shapesOf(d sdk.Description) shapes {
	s := shapes{redirects: d.Authorizer}
	if d.Authorizer {
		s.all = append(s.all, sdk.LoginRedirect)
	}
	if d.LoginGuide {
		for _, shape := range d.Logins {
			if !slices.Contains(s.all, shape) {
				s.all = append(s.all, shape)
			}
		}
	}
	return s
}

// choose returns the shape that is wanted, or the first that works here; a callback
// only if there is no other, because a person has to receive it. One that says nothing
// of its logins is asked for a redirect.
func (s shapes) choose(want sdk.LoginShape) (sdk.LoginShape, error) {
	switch {
	case want == "" && len(s.all) == 0:
		return sdk.LoginRedirect, nil
	case want != "" && !slices.Contains(s.all, want):
		return "", fmt.Errorf("%w of the shape %q; it has: %s", ErrNoShape, want, cmp.Or(s.list(), "none"))
	case want != "" && !worksHere(want):
		return "", fmt.Errorf("%w here: this Tokenkeeper does not know the shape %s; a newer one may", ErrNoShape, want)
	case want != "":
		return want, nil
	}
	if n := slices.IndexFunc(s.all, func(shape sdk.LoginShape) bool { return worksHere(shape) && shape != sdk.LoginCallback }); n >= 0 {
		return s.all[n], nil
	}
	if slices.Contains(s.all, sdk.LoginCallback) {
		return sdk.LoginCallback, nil
	}
	return "", fmt.Errorf("%w here: this Tokenkeeper knows none of its shapes (%s); a newer one may", ErrNoShape, s.list())
}

// guides says whether a login of that shape is begun and ended by a [sdk.LoginGuide].
func (s shapes) guides(shape sdk.LoginShape) bool {
	return len(s.all) > 0 && !(shape == sdk.LoginRedirect && s.redirects)
}

func (s shapes) list() string {
	names := make([]string, len(s.all))
	for n, shape := range s.all {
		names[n] = string(shape)
	}
	return strings.Join(names, ", ")
}

// worksHere says whether a login of that shape can be ended.
func worksHere(shape sdk.LoginShape) bool {
	switch shape {
	case sdk.LoginRedirect, sdk.LoginPasteAddress, sdk.LoginPasteToken, sdk.LoginVerifier, sdk.LoginCallback:
		return true
	}
	return isPolled(shape)
}

// isPolled says whether the broker is asked again and again whether the person is done.
func isPolled(shape sdk.LoginShape) bool {
	return shape == sdk.LoginDevice || shape == sdk.LoginApproval
}

// bringsAddress says whether the person comes back with the address of the browser.
func bringsAddress(shape sdk.LoginShape) bool {
	return shape == sdk.LoginRedirect || shape == sdk.LoginPasteAddress
}

// answers says whether an address answers that login: its state is what keeps another
// person's code from being taken for ours (RFC 6749, section 10.12). A broker that was
// not given one sends none.
func answers(given sdk.Secret, l store.Login) bool {
	asked, err := url.Parse(l.Guided.Address)
	if err != nil || asked.Query().Get("state") != l.State {
		return true
	}
	got, err := url.Parse(given.Reveal())
	return err == nil && slices.Equal(got.Query()["state"], []string{l.State})
}

// challenged says whether the address of a login carries the code challenge
// that it has to: by the digest of the verifier, because who sees the address
// would see a plain one (RFC 7636, section 7.2), and in any case where the
// provider says that the broker demands it.
func challenged(address string, pkce sdk.PKCE) error {
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("gave no address")
	}
	q := u.Query()
	switch {
	case q.Has("code_challenge") && q.Get("code_challenge_method") != "S256":
		return errors.New("would show the code verifier in the address of the login (the code challenge is not of the method S256)")
	case !q.Has("code_challenge") && pkce == sdk.PKCERequired:
		return errors.New("says that its broker demands PKCE, and its address for the login has no code challenge")
	}
	return nil
}

// IsPolled says whether the broker is asked again and again whether the person is done
// with that login.
func IsPolled(l store.Login) bool { return isPolled(l.Guided.Shape) }
