package explain

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// story is what is known of an account at a moment.
type story struct {
	account, provider string
	at                time.Time
	lines             []history.Line
	from              time.Time // where the history begins

	token    token
	ended    map[uint64]time.Time // when each version ended
	standing string               // when the run began
	// configured by then; nil: that is not known.
	configured *bool
	// came is when it came into the configuration by a reload; zero: that is not known.
	came time.Time
	// accounts are those that are configured, if that is known, and instead those that went when
	// it came.
	accounts, instead []string
	// crowded: there were too many accounts to note how each stood when the run began.
	crowded bool
	// met is what may have kept the next token from coming, since the newest one came.
	met []met
	// paused, held and parked last until they are over, whatever else comes.
	paused, held, parked *history.Line
	// departed is that it is there no more; nil: that is not known.
	departed *departure
	// gone is by which word the broker has ended the session of the newest token.
	gone  *history.Line
	sinks map[string]*had
	gaps  []gap
	lost  []history.Line
}

// token is the newest by then.
type token struct {
	known       bool
	version     uint64
	by          event.Type
	from, until time.Time // zero: not known
	past        time.Time // when the one before ended, of one that only a delivery has told of
}

// met is a trouble of a class.
type met struct {
	class class
	line  history.Line
	// over is since when it is, without a new token; zero: it lasts.
	over time.Time
}

// isOver says whether what was met of a class does not last.
func isOver(all []met) bool { return !all[len(all)-1].over.IsZero() }

// began is when the first of those was met for which it stands.
func (m met) began() time.Time { return cmp.Or(m.line.First, m.line.Time) }

// times is how many were met.
func times(all []met) (n int) {
	for _, m := range all {
		n += max(1, m.line.Times)
	}
	return n
}

// had is what a sink has had of the account.
type had struct {
	version uint64
	at      time.Time
	// failed is why it does not have a newer one.
	failed *history.Line
}

// gap is a time in which no supervisor was running.
type gap struct {
	from, to time.Time // to is zero: it lasts
	// sudden: it was not stopped, and from is when it was heard of last.
	sudden bool
}

// tell reads the lines up to a moment.
func tell(lines []history.Line, q Question, at time.Time) *story {
	account := q.Account
	s := &story{account: account, at: at, lines: lines, ended: map[uint64]time.Time{}, sinks: map[string]*had{}}
	for _, l := range lines {
		if s.from.IsZero() && !l.Again && !l.Time.After(q.Now) { // a line of a clock that was ahead tells nothing of then
			s.from = l.Time
		}
		if l.Account == account && l.Provider != "" {
			s.provider = l.Provider
		}
	}
	s.gaps = gapsOf(lines, q)
	for n, l := range lines {
		switch {
		case !l.Time.After(at), !at.Before(q.Now): // the clock may have been ahead when it was written
			s.take(l)
		case l.Type == history.Lost && n > 0 && !lines[n-1].Time.After(at): // from then on
			s.lost = append(s.lost, l)
		}
	}
	revocation{s}.foresee()
	s.cut(q)
	s.sleeps()
	return s
}

func gapsOf(lines []history.Line, q Question) (gaps []gap) {
	const lastWords = 10 * time.Second // which may come beside the end
	running, last := true, time.Time{}
	for _, l := range lines {
		if l.Again || l.Aside { // which no supervisor wrote then
			continue
		}
		switch {
		case l.Type == history.RunBegan && !last.IsZero():
			gaps = append(gaps, gap{last, l.Time, running})
			running = true
		case l.Type == history.RunEnded:
			running = false
		case !running && l.Time.After(last.Add(lastWords)): // a begin that could not be written
			gaps = append(gaps, gap{last, l.Time, false})
			running = true
		}
		last = l.Time
	}
	if !last.IsZero() && !q.Cut && (!running && !q.Answers || q.Silent) {
		gaps = append(gaps, gap{from: last, sudden: running})
	}
	return gaps
}

// take is one line.
func (s *story) take(l history.Line) {
	own := l.Account == s.account
	switch {
	case l.Type == history.Configured:
		s.end(event.ReloadFailed, l.Time)
		was := s.configured
		s.configured, s.crowded = nil, l.Accounts == nil || len(l.Accounts) > history.MostStanding
		if l.Accounts != nil {
			has := slices.Contains(l.Accounts, s.account)
			if s.configured = &has; has {
				s.departed = nil
			}
			if has && was != nil && !*was {
				s.came = l.Time
				s.instead = slices.DeleteFunc(s.accounts, func(name string) bool { return slices.Contains(l.Accounts, name) })
			}
		}
		s.accounts = slices.Clone(l.Accounts)
		if l.Sinks != nil {
			maps.DeleteFunc(s.sinks, func(name string, _ *had) bool { return !slices.Contains(l.Sinks, name) })
		}
	case l.Type == history.Lost:
		s.lost = append(s.lost, l)
	case isDeparture(l, s.account):
		s.depart(l)
		return
	case own && l.Type == history.Stands:
		s.stand(l)
	case own && l.IsToken():
		s.renew(l)
	case own && l.Type == event.Restored: // the import before it has brought the token
		if s.token.by == event.Imported {
			s.token.by = event.Restored
		}
	case own && l.Sink != "":
		if l.Type == event.Delivered && l.Version > s.token.version { // whose coming is not in the history
			past := s.token.until
			s.renew(l)
			s.token.past = past
		}
		s.deliver(l)
	case own && l.Type == event.Paused:
		s.paused = &l
	case own && l.Type == event.Resumed:
		if s.paused != nil {
			s.met = append(s.met, met{isPaused, *s.paused, l.Time})
		}
		s.paused = nil
	case l.Type == event.OtherMachine:
		s.held = &l
	case l.Type == event.MachineAdopted:
		s.held = nil
	case l.Type == event.ProviderParked && s.isProvider(l):
		s.parked = &l
	case l.Type == event.ProviderStarted && s.isProvider(l):
		s.parked = nil
	case l.Type == event.Recovered:
		if s.concerns(l) {
			s.end(l.Over, l.Time)
		}
	case l.Alert && l.Provider == s.provider && s.isLeftBy(l):
		s.end(l.Type, l.Time)
	case s.concerns(l):
		if l.Type == event.Revoked { // when it was asked once more
			s.end(event.RevokeUnknown, l.Time)
		}
		if isGone(l) && s.gone == nil {
			s.gone = &l
		}
		if c, ok := classOf(l); ok && !(l.Alert && s.hasMet(c)) { // whoever met it may have told it before
			s.met = append(s.met, met{class: c, line: l})
		}
	}
	if own && s.token.until.IsZero() && l.Expiry.After(s.token.past) && (l.Type == history.Stands || !l.IsToken()) { // each names the end of the token that stands
		s.token.known, s.token.until = true, l.Expiry
		s.ended[s.token.version] = l.Expiry
	}
}

func (s *story) hasMet(c class) bool {
	return slices.ContainsFunc(s.met, func(m met) bool { return m.class.key == c.key && m.over.IsZero() })
}

func (s *story) isProvider(l history.Line) bool {
	return s.provider != "" && l.Provider == s.provider && l.Account == "" && l.Sink == ""
}

// concerns says whether a line is about the account, its provider, or everything.
func (s *story) concerns(l history.Line) bool {
	switch {
	case l.Account != "":
		return l.Account == s.account
	case l.Sink != "":
		return false
	case l.Provider == "":
		return true
	case l.Alert && l.Type != event.ProviderCrashing && l.Type != event.Overload: // of several accounts, some of which it names
		return l.Provider == s.provider && Names(l.Message, s.account)
	}
	return l.Provider == s.provider
}

// stand is how the account stood when a run began.
func (s *story) stand(l history.Line) {
	if s.standing = l.Standing; !slices.Contains([]string{"paused", "needs_login", "new"}, s.standing) { // of those it may be paused
		s.paused = nil
	}
	switch {
	case l.Version == 0:
		s.token = token{}
	case l.Version != s.token.version:
		l.Time = cmp.Or(l.StoredAt, l.Time)
		later := slices.DeleteFunc(s.met, func(m met) bool { return !m.line.Time.After(l.Time) })
		s.renew(l)
		s.met = later
	}
	revocation{s}.stands(l)
}

func (s *story) renew(l history.Line) {
	s.ended[l.Version] = l.Expiry
	if l.Type == event.LoginTold && s.token.known { // it is the same token
		s.token.version, s.token.until = l.Version, l.Expiry
		return
	}
	s.token = token{known: true, version: l.Version, by: l.Type, from: l.Time, until: l.Expiry}
	s.met, s.gone, s.departed = nil, nil, nil
	if l.Type == event.Refreshed { // which shows that nothing keeps it from that
		s.held, s.parked = nil, nil
	}
	if l.Type == event.StoreRestored {
		s.met = []met{{class: restored, line: l}}
	}
}

func (s *story) deliver(l history.Line) {
	switch l.Type {
	case event.Delivered:
		s.sinks[l.Sink] = &had{version: l.Version, at: l.Time}
	case event.DeliveryFailed, event.SinkAbsent, event.DeliveryPutOff:
		if s.sinks[l.Sink] == nil {
			s.sinks[l.Sink] = &had{}
		}
		s.sinks[l.Sink].failed = &l
	}
}

// drift is by how much a clock has jumped.
var drift = regexp.MustCompile(`moved by (-?[0-9hms.]+) against`)

// sleeps finds when the machine slept, of which is told only afterwards.
func (s *story) sleeps() {
	for _, l := range s.lines {
		found := drift.FindStringSubmatch(l.Message)
		if l.Type != event.ClockJumped || found == nil || l.Provider != "" && l.Provider != s.provider {
			continue
		}
		by, err := time.ParseDuration(found[1])
		began := l.Time.Add(-by)
		switch {
		case err != nil:
		case by < 0 && l.Time.After(s.token.from) && !l.Time.After(s.at):
			s.met = append(s.met, met{class: setBack, line: l})
		case by > 0 && began.Before(s.at) && (l.Time.After(s.at) || l.Time.After(s.token.until) && !began.Before(s.token.from)):
			s.met = append(s.met, met{class: asleep, line: l})
		default:
			continue
		}
		if n := len(s.met) - 1; n >= 0 && err == nil {
			s.met[n].line.Message = by.Abs().String()
		}
	}
}

// next is when the first token came after the moment.
func (s *story) next() (history.Line, bool) {
	for _, l := range s.lines {
		if l.Account == s.account && l.IsToken() && l.Time.After(s.at) && l.Version != s.token.version && l.Type != history.Stands && l.Type != event.LoginTold {
			return l, true
		}
	}
	return history.Line{}, false
}

// missing is the time without a supervisor that matters: it lasted at the moment, or beyond
// the end of the token.
func (s *story) missing() *gap {
	const restart = 2 * time.Minute
	for _, g := range slices.Backward(s.gaps) {
		lasted := g.to.IsZero() || g.to.After(s.at)
		switch {
		case !g.from.Before(s.at), !lasted && g.to.Sub(g.from) < restart:
		case lasted, s.token.known && g.to.After(s.token.until) && g.to.After(s.token.from):
			return &g
		}
	}
	return nil
}

func (s *story) verdict() Verdict {
	switch {
	case s.from.IsZero(), s.at.Before(s.from):
		return Unknown
	case s.departed != nil:
		return None
	case s.token.known && s.token.until.IsZero():
		return Unknown
	case s.token.known && s.token.until.After(s.at) && s.gone == nil:
		return Valid
	case s.token.known && s.mayBeLost():
		return Unknown
	case s.token.known, s.standing == "new", s.isUnconfigured():
		return None
	}
	return Unknown
}

func (s *story) isUnconfigured() bool { return s.configured != nil && !*s.configured }

// deliveries are ordered by the sinks' names.
func (s *story) deliveries() []Delivery {
	all := []Delivery{}
	for _, name := range slices.Sorted(maps.Keys(s.sinks)) {
		h := s.sinks[name]
		d := Delivery{Sink: name, Version: h.version, At: h.at}
		if h.failed != nil {
			d.Error = s.clean(h.failed.Message)
		}
		all = append(all, d)
	}
	return all
}

// counted are the words before what an error of an attempt says.
var counted = regexp.MustCompile(`^\w+ failed \([^)]*\): `)

// clean is a message without what the reader knows, and without its end.
func (s *story) clean(message string) string {
	message = counted.ReplaceAllString(message, "")
	message = strings.ReplaceAll(message, "account "+s.account+": ", "")
	message = strings.Join(strings.Fields(message), " ")
	return strings.TrimRight(strings.TrimSuffix(message, "; it will be tried again"), ". ")
}
