package brokersim

import "time"

// Current is what the server holds of an account's newest grant.
type Current struct {
	RefreshToken string
	// Alive says whether RefreshToken works now. If it does not, a person has
	// to log in again.
	Alive          bool
	RefreshExpires time.Time
	// AccessToken is the newest one; empty if none is alive. Where there are no
	// refresh tokens, it is all that there is.
	AccessToken   string
	AccessExpires time.Time
	Login         time.Time
}

// Current returns the newest tokens of account, and false if it never logged
// in.
func (s *books) Current(account string) (Current, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	grants := s.grants[account]
	if len(grants) == 0 {
		return Current{}, false
	}
	g := grants[len(grants)-1]
	c := Current{Login: g.login}
	if g.newest != nil {
		c.RefreshToken, c.Alive, c.RefreshExpires = g.newest.value, s.usable(g.newest), g.newest.expires
	}
	if n := len(g.living); n > 0 && s.alive(g.living[n-1]) {
		c.AccessToken, c.AccessExpires = g.living[n-1].value, g.living[n-1].expires
	}
	return c, true
}

// AccessValid says whether an access token works now.
func (s *books) AccessValid(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive(s.access[token])
}

// RefreshValid says whether a refresh token could be spent now.
func (s *books) RefreshValid(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.usable(s.refresh[token])
}

// Uses is how many token requests carried a refresh token.
func (s *books) Uses(refreshToken string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.refresh[refreshToken]; t != nil {
		return t.posts
	}
	return 0
}

// usable says whether t could be spent now. s.mu is held.
func (s *books) usable(t *refreshToken) bool {
	now := s.now()
	return t != nil && !s.over(t.grant, now) && now.Before(t.expires) && (t.spent.IsZero() || s.inGrace(t, now))
}
