package alert

import (
	"context"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// savePatience is how long the sinks wait for the store. When the disk hangs,
// people must hear of it all the same: a store says so after as long.
const savePatience = time.Second

// write has fn write to the store, and waits for it for savePatience. It does
// nothing while an earlier fn is not done.
func (e *Engine) write(fn func()) (done bool) {
	select {
	case e.saving <- struct{}{}:
	default:
		return false
	}
	over := make(chan struct{})
	go func() {
		fn()
		<-e.saving
		close(over)
	}()
	patience := time.NewTimer(savePatience)
	defer patience.Stop()
	select {
	case <-over:
		return true
	case <-patience.C:
		return false
	}
}

// save stores what is not stored yet and wakes the sinks for each alert: after
// it is durable, so that none is forgotten that somebody was told of; or when
// it is clear that the disk does not take it, as it is at once where the store has
// a fault.
func (e *Engine) save(ctx context.Context, fault bool) {
	unsaved := e.which(func(g *group) bool { return g.newest != g.stored })
	if len(unsaved) == 0 {
		return
	}
	showAll := func() {
		for _, a := range unsaved {
			e.show(a, false)
		}
	}
	if fault {
		showAll()
	}
	ctx = context.WithoutCancel(ctx)
	done := e.write(func() {
		for _, a := range unsaved {
			err := e.cfg.Store.SaveAlert(ctx, *a)
			if err != nil {
				e.cfg.Log.Debug("an alert could not be stored; the sinks are told all the same, and it is tried again", "key", a.Key, "error", err)
			}
			e.show(a, err == nil)
		}
	})
	if !done { // the disk hangs
		showAll()
	}
}

// show lets the sinks see an alert, and wakes them if it is news.
func (e *Engine) show(a *event.Alert, stored bool) {
	e.mu.Lock()
	g := e.find(a.Key)
	news := g != nil && (g.shown == nil || g.shown.Version < a.Version)
	if g != nil && (news || g.newest == a) {
		g.shown = a
	}
	if g != nil && g.newest == a && stored {
		g.stored = a
	}
	e.mu.Unlock()
	if news {
		e.cfg.Wake(a.Key)
	}
}

// drop forgets alerts that are over and that every sink was told of.
func (e *Engine) drop(ctx context.Context, now time.Time) {
	var finished []*event.Alert
	for _, a := range e.which(func(g *group) bool { return !g.lasts() && g.newest == g.stored && g.shown == g.newest }) {
		if elapsed(a.ChangedAt, now, forgottenAfter) || e.cfg.Told(ctx, *a) {
			finished = append(finished, a)
		}
	}
	if len(finished) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	e.write(func() {
		for _, a := range finished {
			if err := e.cfg.Store.DropAlert(ctx, a.Key, a.Version); err != nil {
				e.cfg.Log.Debug("an alert that is over could not be dropped; it is tried again", "key", a.Key, "error", err)
				continue
			}
			e.mu.Lock()
			// If it was raised anew meanwhile, it is not stored yet.
			if g := e.find(a.Key); g != nil && g.newest == a {
				delete(e.groups, key{a.Type, a.Provider, a.Sink})
			}
			e.mu.Unlock()
		}
	})
}

// which returns the newest states of some alerts.
func (e *Engine) which(are func(*group) bool) (all []*event.Alert) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, g := range e.groups {
		if are(g) {
			all = append(all, g.newest)
		}
	}
	return all
}
