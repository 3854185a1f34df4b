package alert

import (
	"cmp"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// listPause is how long a list that was told rests: when a broker fails, its
// accounts do one after the other.
const listPause = time.Minute

// trouble is one alert: of one type, at one provider or sink or everywhere.
type trouble struct {
	// head is the alert without its list; its State is "" before it was told.
	head event.Alert
	// members are the accounts that have the trouble or had it lately; of what
	// concerns no account there is one, "".
	members map[string]*member
	// newest is the state to tell, stored what is durable of it, and shown what
	// sinks see: what is durable, or could not be made durable. They are never
	// changed, but replaced.
	newest, stored, shown *event.Alert
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

func newTrouble(c Condition) *trouble {
	return &trouble{
		head:    event.Alert{Key: c.key(), Type: c.Type, Provider: c.Provider, Sink: c.Sink},
		members: map[string]*member{},
	}
}

// restored is an alert of an earlier run.
func restored(a event.Alert) *trouble {
	n := &trouble{head: a, members: map[string]*member{}, newest: &a, stored: &a, shown: &a}
	n.head.Affected = nil
	for _, m := range a.Affected {
		n.members[m.Account] = &member{Affected: m}
	}
	if len(a.Affected) == 0 {
		m := &member{Affected: event.Affected{Since: a.Since, Version: a.Version, Message: core(a)}}
		if a.State == event.AlertRecovered {
			m.Until = a.ChangedAt
		}
		n.members[""] = m
	}
	return n
}

func (n *trouble) lasts() bool {
	return n != nil && n.head.State != "" && n.head.State != event.AlertRecovered
}

// take notes how one member does.
func (n *trouble) take(c Condition, now time.Time, look uint64) {
	m := n.members[c.Account]
	if m != nil {
		m.seen = look
	}
	switch {
	case c.State == On:
		if m == nil || !m.lasts() {
			m = &member{Affected: event.Affected{Account: c.Account, Since: now.UTC().Round(0)}, news: true, seen: look}
			n.members[c.Account] = m
		}
		m.Error, m.Message = c.Cause, c.text()
	case m != nil && m.lasts() && c.over(m.Since):
		m.end(now, c.What)
	}
}

func (m *member) end(now time.Time, what string) {
	m.Until, m.Message, m.news = now.UTC().Round(0), what, true
}

// leave ends what is not in the snapshot any more, and forgets whose end has been
// old news for long.
func (n *trouble) leave(now time.Time, look uint64) {
	for name, m := range n.members {
		switch {
		case !m.lasts() && elapsed(m.Until, now, forgottenAfter) && n.lasts():
			delete(n.members, name)
		case m.lasts() && m.seen != look:
			m.end(now, gone(n.head.Type, subject(name, n.head.Provider, n.head.Sink)))
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

// due says what is to be told now.
func (n *trouble) due(now time.Time, repeat time.Duration) telling {
	count, came, went := 0, false, false
	oldest := n.head.Version // which a member was told of last
	for _, m := range n.members {
		if m.lasts() {
			count++
			came = came || m.news
			if !m.news {
				oldest = min(oldest, m.Version)
			}
		} else {
			went = went || m.news
		}
	}
	hush := n.head.Hush
	switch {
	case count == 0 && n.lasts():
		return ends
	case count == 0:
		return nothing
	case !n.lasts():
		return begins
	case hush != nil && now.Before(hush.Until):
		return nothing
	case hush != nil && !hush.Until.IsZero():
		return repeats
	case hush == nil && repeat > 0 && n.head.Type != event.LoginUnknown && elapsed(n.toldAt(oldest), now, repeat):
		return repeats
	case !(came || went) || !elapsed(n.head.ChangedAt, now, listPause):
		return nothing
	case came:
		return grows
	}
	return shrinks
}

// toldAt is when a version was told: versions are made of the time.
func (n *trouble) toldAt(version uint64) time.Time {
	if version == n.head.Version {
		return n.head.ChangedAt
	}
	return time.UnixMilli(int64(version)).UTC()
}

// advance makes the alert's next state.
func (n *trouble) advance(what telling, version uint64, now time.Time) {
	h := &n.head
	h.Version, h.ChangedAt = version, now.UTC().Round(0)
	switch what {
	case begins:
		h.State, h.Since, h.Hush = event.AlertRaised, h.ChangedAt, nil
	case grows:
		h.State = event.AlertRaised
	case shrinks:
		h.State = event.AlertRepeated
	case repeats:
		h.State = event.AlertRepeated
		if h.Hush != nil && !h.Hush.Until.IsZero() {
			h.Hush = nil
		}
	case ends:
		h.State, h.Hush = event.AlertRecovered, nil
	}
	for _, m := range n.members {
		if m.news || what == repeats && m.lasts() {
			m.Version, m.news = version, false
		}
	}
	n.freeze()
}

// freeze makes newest of what is known.
func (n *trouble) freeze() {
	a := n.head
	if m, alone := n.members[""]; alone {
		a.Message = sentence(a, m.Message)
	} else {
		a.Affected = make([]event.Affected, 0, len(n.members))
		for _, m := range n.members {
			a.Affected = append(a.Affected, m.Affected)
		}
		slices.SortFunc(a.Affected, func(x, y event.Affected) int {
			return cmp.Or(x.Since.Compare(y.Since), cmp.Compare(x.Account, y.Account))
		})
		whole, _ := Narrow(a, nil)
		a.Message, a.Accounts = whole.Message, whole.Accounts
	}
	n.newest = &a
}

// elapsed says whether d has passed since then, also by a clock that was set
// back.
func elapsed(then, now time.Time, d time.Duration) bool {
	age := now.Sub(then)
	return age >= d || age < -clockTolerance
}
