package brokersim

import "time"

// dailyRotation is how old a refresh token becomes under [RotationDaily].
const dailyRotation = 24 * time.Hour

// DefaultAccount logs in at the authorize page unless LoginAs or login_hint
// say otherwise.
const DefaultAccount = "default"

// Grant is what the login of one account hands out: the answer to a code
// exchange, for tests that need no browser.
type Grant struct {
	Account      string
	AccessToken  string
	RefreshToken string
	// IDToken names Account as its subject.
	IDToken   string
	TokenType string
	BaseURI   string
	IssuedAt  time.Time
	// ExpiresIn and RefreshExpiresIn count from IssuedAt.
	ExpiresIn, RefreshExpiresIn time.Duration
	// CodeVerifier and RedirectURL belong to every refresh of a PKCE grant;
	// CodeVerifier is empty otherwise.
	CodeVerifier, RedirectURL string
}

// grant is one login and the chain of refresh tokens that came from it.
type grant struct {
	account     string
	login       time.Time
	revoked     bool
	used        time.Time // when its access token was last used, renewed or beaten for
	verifier    string
	redirectURI string
	newest      *refreshToken
	living      []*accessToken // of this grant, some may have expired
}

type refreshToken struct {
	value   string
	grant   *grant
	born    time.Time
	expires time.Time
	posts   int // requests that carried it
	// spent is when a refresh replaced it by successor; zero: never.
	spent     time.Time
	successor *refreshToken
}

type accessToken struct {
	value   string
	grant   *grant
	expires time.Time
}

// books are what the server has handed out, and what of it lives.
type books struct {
	tallies
	grants  map[string][]*grant
	refresh map[string]*refreshToken
	access  map[string]*accessToken
	budget  budget
	ousted  map[string]bool // access tokens whose grant another login has ended
}

// Grant logs account in without a browser or a token request. Like any login
// it ends the account's earlier grants where the broker does so.
func (s *books) Grant(account string) Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := &grant{account: account, redirectURI: s.cfg.RedirectURL}
	if s.cfg.PKCE {
		g.verifier = randomText(32) // RFC 7636, section 4.1
	}
	now := s.now()
	out := s.beginGrant(g, now, now)
	s.notify()
	return Grant{
		Account:     account,
		AccessToken: out.accessToken, RefreshToken: out.refreshToken, IDToken: out.idToken,
		TokenType: "Bearer", BaseURI: out.baseURI,
		IssuedAt: now, ExpiresIn: out.expiresIn, RefreshExpiresIn: out.refreshExpiresIn,
		CodeVerifier: g.verifier, RedirectURL: g.redirectURI,
	}
}

// Revoke ends all grants of account, as its user could at the broker.
func (s *books) Revoke(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.grants[account] {
		s.revoke(g)
	}
	s.notify()
}

// beginGrant starts g with its first tokens. login is when the lifetimes begin
// to count. s.mu is held.
func (s *books) beginGrant(g *grant, login, now time.Time) issued {
	if s.rules.loginReplaces {
		for _, old := range s.grants[g.account] {
			s.revoke(old)
		}
	}
	s.makeRoom(g.account, now)
	g.login, g.used = login, now
	s.grants[g.account] = append(s.grants[g.account], g)
	s.tally.of(g.account).Logins++
	if !s.rules.noRefreshToken {
		s.newRefreshToken(g, s.bound(login.Add(s.cfg.RefreshLifetime), login))
	}
	return s.issue(g, login.Add(s.cfg.AccessLifetime), now)
}

// issue adds an access token to g and returns it with g's newest refresh
// token. s.mu is held.
func (s *books) issue(g *grant, expires, now time.Time) issued {
	s.forgetExpired(g, now)
	if s.rules.replacesAccess {
		for _, old := range g.living {
			delete(s.access, old.value)
		}
		g.living = nil
	}
	expires = s.bound(expires, now)
	a := &accessToken{value: s.rules.newAccessToken(), grant: g, expires: expires}
	g.living = append(g.living, a)
	s.access[a.value] = a
	out := issued{
		accessToken: a.value, idToken: s.idToken(g.account, now, expires), account: g.account,
		expires: expires, expiresIn: expires.Sub(now), baseURI: s.URL() + s.rules.apiPrefix,
	}
	if g.newest != nil {
		out.refreshToken, out.refreshExpiresIn = g.newest.value, g.newest.expires.Sub(now)
	}
	return out
}

// newRefreshToken makes a new refresh token g's newest. s.mu is held.
func (s *books) newRefreshToken(g *grant, expires time.Time) *refreshToken {
	t := &refreshToken{value: s.rules.newRefreshToken(), grant: g, born: s.now(), expires: expires}
	s.refresh[t.value] = t
	g.newest = t
	return t
}

// revoke ends g: its refresh tokens and its access tokens. s.mu is held.
func (s *books) revoke(g *grant) {
	g.revoked = true
	for _, a := range g.living {
		delete(s.access, a.value)
	}
	g.living = nil
}

// forgetExpired keeps long runs small: dead access tokens need not be known,
// while refresh tokens are kept for ever, because their reuse must be seen.
func (s *books) forgetExpired(g *grant, now time.Time) {
	living := g.living[:0]
	for _, a := range g.living {
		if now.Before(a.expires) {
			living = append(living, a)
		} else {
			delete(s.access, a.value)
		}
	}
	clear(g.living[len(living):])
	g.living = living
}

// spend grants a refresh with t, unless it says why not. keep leaves the
// refresh token as it is whatever the broker does. s.mu is held.
func (s *books) spend(t *refreshToken, keep bool, now time.Time) (issued, string) {
	g := t.grant
	switch {
	case g.revoked:
		return issued{}, "the grant was revoked"
	case s.over(g, now):
		return issued{}, "the grant has died, of its age or of idleness"
	case !t.spent.IsZero() && !s.inGrace(t, now):
		// RFC 9700, section 4.14.2: the server can't tell who of the two is
		// the thief, so it revokes the active refresh token as well.
		s.revoke(g)
		return issued{}, "the refresh token was used before; the grant is revoked"
	case !now.Before(t.expires):
		return issued{}, "the refresh token has expired"
	}
	if s.cfg.Rotation == RotationDaily && !keep {
		if t.successor == nil && now.Sub(t.born) >= dailyRotation {
			t.spent, t.successor = now, s.newRefreshToken(g, t.expires)
		}
		t = g.newest
	}
	if s.cfg.Rotation == RotationAlways && !keep {
		if t.successor != nil {
			// A replay within the grace: the successor whose answer was lost
			// is replaced in its turn, and using it from now on is a reuse.
			t.successor.spent = now
		} else {
			t.spent = now
		}
		t.successor = s.newRefreshToken(g, t.expires)
		t = t.successor
	}
	g.used = now
	if s.rules.sliding {
		t.expires = s.bound(now.Add(s.cfg.RefreshLifetime), g.login)
	}
	return s.issue(g, now.Add(s.cfg.AccessLifetime), now), ""
}

// inGrace: t was spent lately and nobody has used its successor, so that its
// answer may have been lost. A successor that a replay has replaced has none
// itself. Where the refresh token changes by the day, both work side by side. s.mu
// is held.
func (s *books) inGrace(t *refreshToken, now time.Time) bool {
	if t.successor == nil || now.Sub(t.spent) >= s.cfg.ReuseGrace {
		return false
	}
	return s.cfg.Rotation == RotationDaily || t.successor.spent.IsZero()
}
