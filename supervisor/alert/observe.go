package alert

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// only says whether no state shows a trouble of that type, so that its events
// have to do.
func only(t event.Type) bool {
	switch t {
	case event.RivalRefresher, event.StoreRestored, event.StoreDisplaced, event.PlanMended, event.DiskTrouble:
		return true
	}
	return false
}

// observed is what the events since the last look told.
type observed struct {
	// seen lasts until it is over.
	seen map[string]Seen
	// told are the alerts, and ended the subjects of a recovery, of which the
	// log has just got a line: they need no other.
	told, ended map[string]bool
}

func newObserved() observed {
	return observed{seen: map[string]Seen{}, told: map[string]bool{}, ended: map[string]bool{}}
}

// Observe takes an event of the bus: it is an observer of [event.Bus.Observe].
func (e *Engine) Observe(ev event.Event) {
	if ev.State != "" {
		return // the Engine's own
	}
	e.inbox.Lock()
	news := e.news.take(ev)
	e.inbox.Unlock()
	if news || e.mayEnd(ev) {
		e.signal()
	}
}

// mayEnd says whether an alert is open that such an event may end: nobody
// should wait for the next look to learn that all is well.
func (e *Engine) mayEnd(ev event.Event) bool {
	var types []event.Type
	switch ev.Type {
	case event.Refreshed, event.LoggedIn, event.Adopted, event.Imported:
		types = []event.Type{event.RefreshFailing, event.NeedsLogin, event.LoginDueSoon, event.Ambiguous}
	case event.MachineAdopted:
		types = []event.Type{event.OtherMachine}
	case event.Delivered, event.SinkDisabled:
		types = []event.Type{event.SinkFailing, event.SinkGuarded}
		ev.Account, ev.Provider = "", ""
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range types {
		if n := e.open[Key(t, "", ev.Provider, ev.Sink)]; n.lasts() && n.members[ev.Account] != nil {
			return true
		}
	}
	return false
}

// take notes an event, and says whether an alert may begin or end with it.
func (o *observed) take(e event.Event) bool {
	switch {
	case e.Alert:
		key := Key(e.Type, e.Account, e.Provider, e.Sink)
		o.told[key] = true
		if only(e.Type) {
			o.seen[key] = Seen{Event: e, At: e.Time}
		}
		return true
	case e.Type == event.Recovered:
		o.ended[subject(e.Account, e.Provider, e.Sink)] = true
		o.over(event.DiskTrouble, e)
		o.over(event.StoreRestored, e)
		o.over(event.StoreDisplaced, e)
		return true
	case e.Type == event.Refreshed, e.Type == event.LoggedIn, e.Type == event.Adopted, e.Type == event.Imported:
		// A restored token that may have been spent was not, or has a
		// successor.
		return o.over(event.StoreRestored, e)
	}
	return false
}

// over notes that the trouble of type t of e's subject is over. What was
// restored is as old as before when the disk is well again.
func (o *observed) over(t event.Type, e event.Event) bool {
	if t == event.StoreRestored && e.Account == "" {
		return false
	}
	key := Key(t, e.Account, e.Provider, e.Sink)
	s, ok := o.seen[key]
	if ok {
		s.Over = true
		o.seen[key] = s
	}
	return ok
}

// resume takes up a trouble that an earlier run has seen.
func (o *observed) resume(n *trouble) {
	if !only(n.head.Type) {
		return
	}
	for name, m := range n.members {
		if m.lasts() {
			at := n.toldAt(m.Version)
			o.seen[Key(n.head.Type, name, n.head.Provider, n.head.Sink)] = Seen{At: at, Event: event.Event{
				Type: n.head.Type, Time: at, Alert: true, Account: name, Provider: n.head.Provider, Sink: n.head.Sink, Message: m.Message,
			}}
		}
	}
}

// listen returns what was observed since the last call.
func (e *Engine) listen() observed {
	e.inbox.Lock()
	defer e.inbox.Unlock()
	o := observed{seen: make(map[string]Seen, len(e.news.seen)), told: e.news.told, ended: e.news.ended}
	for key, s := range e.news.seen {
		o.seen[key] = s
	}
	e.news.told, e.news.ended = map[string]bool{}, map[string]bool{}
	return o
}

// forget drops a trouble that is over, unless it was seen again meanwhile.
func (e *Engine) forget(key string, seenAt time.Time) {
	e.inbox.Lock()
	defer e.inbox.Unlock()
	if s, ok := e.news.seen[key]; ok && s.At.Equal(seenAt) {
		delete(e.news.seen, key)
	}
}
