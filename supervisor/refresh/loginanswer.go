package refresh

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

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

// ErrOtherIssuer: what a person brought back from a login was made by another
// authorization server than the one that he was sent to.
var ErrOtherIssuer = errors.New("the address was made by another authorization server than the one of this login")

// CheckIssuer refuses an issuer that came back with a login of the account which
// is under way (RFC 9207, section 2.4) and is not its authorization server's.
// Where that is not known, or none came back, nothing can be told. The login
// goes on.
func (k *Keeper) CheckIssuer(name, issuer string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, ok := k.accounts[name]
	if !ok || a.wish.login == nil || a.wish.login.issuer == "" || issuer == "" || issuer == a.wish.login.issuer {
		return nil
	}
	return fmt.Errorf("%w (%s): close that page, and log in at the address that \"tokenkeeper login %s\" gives", ErrOtherIssuer, a.wish.login.issuer, name)
}
