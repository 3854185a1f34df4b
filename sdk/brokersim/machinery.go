package brokersim

import (
	"net/http"
	"time"
)

// machinery is what a broker does to its grants beyond RFC 6749. Each dialect's
// file says from where that is known. The zero value is nothing.
type machinery struct {
	// reuseGrace stands in where Config.ReuseGrace is 0.
	reuseGrace time.Duration
	// noRefreshToken: a grant is one access token, and what renews it.
	noRefreshToken bool
	// replacesAccess: a new access token ends the one before it at once.
	replacesAccess bool
	// diesAt: every token dies at that time of the day.
	diesAt *WallClock
	// idle: a grant dies that nobody has used for so long.
	idle time.Duration
	// sessions: a login beyond so many ends the oldest of the account.
	sessions int
	// perHour limits the requests of an account by grant type.
	perHour map[string]int
	// failedPerHour limits the failed logins of an account.
	failedPerHour int
	// renewPath answers a GET with a living access token with the next one.
	renewPath string
	// mintPath takes a login name, a PIN and a TOTP code.
	mintPath string
	// keepalivePath takes the beats that keep a grant from being idle.
	keepalivePath string
}

// WallClock is a time of the day in a zone, at which tokens die whenever they
// were made.
type WallClock struct {
	Hour, Minute int
	Zone         *time.Location // nil: UTC
}

// Next is the first such moment after t. A day on which the clocks change has it
// once: what a gap leaves out comes by the offset before it.
func (w WallClock) Next(t time.Time) time.Time {
	zone := w.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := t.In(zone).Date()
	for day := d; ; day++ {
		at := time.Date(y, m, day, w.Hour, w.Minute, 0, 0, zone)
		wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), 0, 0, time.UTC)
		if wall.Before(time.Date(y, m, day, w.Hour, w.Minute, 0, 0, time.UTC)) { // time.Date went before the gap
			at = at.Add(time.Hour)
		}
		if at.After(t) {
			return at
		}
	}
}

// india has had no daylight saving time since 1945, so that no zone file is needed.
var india = time.FixedZone("Asia/Kolkata", 5*3600+30*60)

// bound keeps a moment of death before the broker's time of the day.
func (s *books) bound(expires, born time.Time) time.Time {
	if s.cfg.DiesAt == nil {
		return expires
	}
	if at := s.cfg.DiesAt.Next(born); at.Before(expires) {
		return at
	}
	return expires
}

// over says whether a grant is at its end by the broker's own machinery, and
// needs a new login. s.mu is held.
func (s *books) over(g *grant, now time.Time) bool {
	return g.revoked || s.cfg.IdleLimit > 0 && now.Sub(g.used) >= s.cfg.IdleLimit ||
		s.cfg.DiesAt != nil && !now.Before(s.cfg.DiesAt.Next(g.login))
}

// makeRoom ends the oldest grants of an account until one more is allowed. s.mu is
// held.
func (s *books) makeRoom(account string, now time.Time) {
	if s.cfg.Sessions <= 0 {
		return
	}
	var open []*grant
	for _, g := range s.grants[account] {
		if !s.over(g, now) {
			open = append(open, g)
		}
	}
	for len(open) >= s.cfg.Sessions {
		for _, a := range open[0].living {
			s.ousted[a.value] = true
		}
		s.revoke(open[0])
		s.tally.of(account).Ousted++
		open = open[1:]
	}
}

// budget counts requests of the last hour.
type budget map[string][]time.Time

// spend notes one more request, unless there were limit of them already.
func (b budget) spend(key string, limit int, now time.Time) bool {
	recent := b[key]
	for len(recent) > 0 && now.Sub(recent[0]) >= time.Hour {
		recent = recent[1:]
	}
	allowed := len(recent) < limit
	if allowed {
		recent = append(recent, now)
	}
	b[key] = recent
	return allowed
}

// exhausted says whether limit requests were noted in the last hour.
func (b budget) exhausted(key string, limit int, now time.Time) bool {
	recent := b[key]
	return len(recent) >= limit && now.Sub(recent[len(recent)-limit]) < time.Hour
}

// overLimit says whether a request is one too many in an hour. s.mu is held.
func (s *books) overLimit(account, grantType string) bool {
	now := s.now()
	if n := s.rules.failedPerHour; n > 0 && s.budget.exhausted(account+" failed", n, now) && grantType != grantRenew {
		return true
	}
	n := s.rules.perHour[grantType]
	if s.cfg.RequestsPerHour != 0 {
		n = s.cfg.RequestsPerHour
	}
	return n > 0 && !s.budget.spend(account+" "+grantType, n, now)
}

// tooMany is the answer to one request too many: empty, as Tradovate's is.
func tooMany() Answer { return Answer{Status: http.StatusTooManyRequests, Header: http.Header{}} }
