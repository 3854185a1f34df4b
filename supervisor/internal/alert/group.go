package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

const (
	// listPause is how long a list that was told rests: when a broker fails, its
	// accounts do one after the other.
	listPause = time.Minute
	// forgottenAfter is how long what is over waits for the sinks that have not
	// been told.
	forgottenAfter = 24 * time.Hour
)

// group is one alert: the troubles of one kind at one provider or sink, or
// everywhere.
type group struct {
	// head is the alert without its list; its State is "" before it was told.
	head event.Alert
	// members are the accounts that have the trouble or had it lately; of what
	// concerns no account there is one, "".
	members map[string]*member
	// newest is what to tell, stored what is durable of it, and shown what sinks
	// see: what is durable, or could not be made durable. They are never changed,
	// but replaced.
	newest, stored, shown *event.Alert
	// unannounced: of those to be told next there is one of whom nobody else tells.
	unannounced bool
}

// member is one account in an alert.
type member struct {
	event.Affected
	// news: the sinks have not been told since it came or went.
	news bool
	// seen is the look that knew of it.
	seen uint64
}

func (m *member) lasts() bool { return m.Until.IsZero() }

func (m *member) end(now time.Time, what string) {
	m.Until, m.Message, m.news = now, what, true
}

// resumed is an alert of an earlier run.
func resumed(a event.Alert) *group {
	g := &group{head: a, members: map[string]*member{}, newest: &a, stored: &a, shown: &a}
	g.head.Affected = nil
	for _, m := range a.Affected {
		g.members[m.Account] = &member{Affected: m}
	}
	return g
}

func (g *group) lasts() bool {
	return g != nil && g.head.State != "" && g.head.State != event.AlertRecovered
}

// take notes how one member does.
func (g *group) take(c Condition, now time.Time, look uint64) {
	m := g.members[c.Account]
	if m != nil {
		m.seen = look
	}
	switch {
	case c.State == On:
		switch {
		case m == nil, !m.lasts() && !m.news:
			m = &member{Affected: event.Affected{Account: c.Account, Since: now}, news: true, seen: look}
			g.members[c.Account] = m
			g.unannounced = g.unannounced || c.Unannounced
		case !m.lasts(): // nobody has been told that it went
			m.Until, m.news = time.Time{}, false
		}
		m.Error, m.Message, m.Needs = c.Cause, c.text(), string(c.Needs)
	case m != nil && m.lasts() && c.over(m.Since):
		m.end(now, c.text())
	}
}

// leave ends what is not in the snapshot any more, and forgets who came and went
// before anybody was told, or whose end has been old news for long.
func (g *group) leave(now time.Time, look uint64) {
	for name, m := range g.members {
		if m.lasts() && m.seen != look {
			m.end(now, gone(g.head.Type, subject(name, g.head.Provider, g.head.Sink)))
		}
		if !m.lasts() && (m.Version == 0 || elapsed(m.Until, now, forgottenAfter) && g.lasts()) {
			delete(g.members, name)
		}
	}
}

// telling is what there is to tell of an alert.
type telling int

const (
	nothing telling = iota
	begins
	grows
	shrinks
	repeats
	ends
)

// due says what is to be told now; some are those who don't want every account.
func (g *group) due(now time.Time, repeat time.Duration, some []Wants) telling {
	lasting, came, went := 0, false, false
	oldest := g.head.Version // which a member was told of last
	for _, m := range g.members {
		switch {
		case !m.lasts():
			went = went || m.news
			continue
		case m.news:
			came = true
		default:
			oldest = min(oldest, m.Version)
		}
		lasting++
	}
	hush := g.head.Hush
	rested := elapsed(g.head.ChangedAt, now, listPause)
	switch {
	case lasting == 0 && g.lasts():
		return ends
	case lasting == 0:
		return nothing
	case !g.lasts():
		return begins
	case hush != nil && now.Before(hush.Until):
		return nothing
	case hush != nil && !hush.Until.IsZero():
		return repeats
	case hush == nil && repeat > 0 && !g.head.Type.ToldOnce() && elapsed(g.toldAt(oldest), now, repeat):
		return repeats
	case came && (rested || slices.ContainsFunc(some, g.isNewTo)):
		return grows
	case went && rested:
		return shrinks
	}
	return nothing
}

// isNewTo says whether of all that last somebody wants none but those that came
// just now.
func (g *group) isNewTo(wants Wants) (is bool) {
	for name, m := range g.members {
		if m.lasts() && wants(name, g.head.Provider) {
			if !m.news {
				return false
			}
			is = true
		}
	}
	return is
}

// toldAt is when a version was told: versions are made of the time.
func (g *group) toldAt(version uint64) time.Time {
	if version == g.head.Version {
		return g.head.ChangedAt
	}
	return time.UnixMilli(int64(version)).UTC()
}

// advance makes the alert's next state.
func (g *group) advance(what telling, version uint64, now time.Time) {
	h := &g.head
	h.Version, h.ChangedAt = version, now
	switch what {
	case begins:
		h.State, h.Since, h.Hush = event.AlertRaised, now, nil
	case grows:
		h.State = event.AlertRaised
	case shrinks:
		h.State = event.AlertRepeated
	case repeats: // it is told again after a silence, or is not hushed
		h.State, h.Hush = event.AlertRepeated, nil
	case ends:
		h.State, h.Hush = event.AlertRecovered, nil
	}
	for _, m := range g.members {
		if m.news || what == repeats && m.lasts() {
			m.Version, m.news = version, false
		}
	}
	g.newest = g.whole()
}

// whole is the alert as it stands, the oldest members first.
func (g *group) whole() *event.Alert {
	a := g.head
	a.Affected = make([]event.Affected, 0, len(g.members))
	for _, m := range g.members {
		a.Affected = append(a.Affected, m.Affected)
	}
	slices.SortFunc(a.Affected, func(x, y event.Affected) int {
		return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Account, y.Account))
	})
	return &a
}

// elapsed says whether d has passed since then. Where then lies ahead, because the clock
// was set back, it is true too: better told twice than never. Who asks it must be well
// served by a moment that comes early.
func elapsed(then, now time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= d || age < -clockTolerance
}
