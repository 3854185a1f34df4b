package alert

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// savePatience is how long the sinks wait for the store. When the disk hangs,
// people must hear of it all the same.
const savePatience = 5 * time.Second

// atOnce is how many alerts are written at the same time: the store makes one
// transaction of them, and a thousand alerts must not take a thousand.
const atOnce = 64

// together calls fn for every alert and returns its errors.
func together(alerts []*event.Alert, fn func(*event.Alert) error) []error {
	errs := make([]error, len(alerts))
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for n, a := range alerts {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			errs[n] = fn(a)
		})
	}
	all.Wait()
	return errs
}

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
// it is clear that the disk does not take it.
func (e *Engine) save(ctx context.Context) {
	unsaved := e.unsaved()
	if len(unsaved) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	done := e.write(func() {
		errs := together(unsaved, func(a *event.Alert) error {
			err := e.cfg.Store.SaveAlert(ctx, *a)
			e.saved(a, err)
			return err
		})
		if err := errors.Join(errs...); err != nil {
			e.cfg.Log.Debug("alerts could not be stored; the sinks are told all the same, and it is tried again", "error", err)
		}
	})
	if !done { // the disk hangs
		e.show(unsaved)
	}
}

func (e *Engine) unsaved() (all []*event.Alert) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.open {
		if n.newest != n.stored {
			all = append(all, n.newest)
		}
	}
	return all
}

// saved notes the outcome of storing a.
func (e *Engine) saved(a *event.Alert, err error) {
	e.mu.Lock()
	if n, ok := e.open[a.Key]; ok && n.newest == a && err == nil {
		n.stored = a
	}
	e.mu.Unlock()
	e.show([]*event.Alert{a})
}

// show lets the sinks see alerts, and wakes them for what they have not seen.
func (e *Engine) show(alerts []*event.Alert) {
	for _, a := range alerts {
		e.mu.Lock()
		n, ok := e.open[a.Key]
		news := ok && (n.shown == nil || n.shown.Version < a.Version)
		if ok && (news || n.newest == a) {
			n.shown = a
		}
		e.mu.Unlock()
		if news {
			e.cfg.Wake(a.Key)
		}
	}
}

// drop forgets alerts that are over and that every sink was told of.
func (e *Engine) drop(ctx context.Context, now time.Time) {
	finished := slices.DeleteFunc(e.finished(), func(a *event.Alert) bool {
		return !elapsed(a.ChangedAt, now, forgottenAfter) && !e.cfg.Told(ctx, *a)
	})
	if len(finished) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx)
	e.write(func() {
		together(finished, func(a *event.Alert) error {
			if err := e.cfg.Store.DropAlert(ctx, a.Key); err != nil {
				e.cfg.Log.Debug("an alert that is over could not be dropped; it is tried again", "key", a.Key, "error", err)
				return err
			}
			e.mu.Lock()
			defer e.mu.Unlock()
			// If it was raised anew meanwhile, it is not stored yet.
			if n, ok := e.open[a.Key]; ok && n.newest == a {
				delete(e.open, a.Key)
			}
			return nil
		})
	})
}

// finished returns the alerts that are over, as far as that is durable.
func (e *Engine) finished() (all []*event.Alert) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.open {
		if n.head.State == event.AlertRecovered && n.newest == n.stored && n.shown == n.newest {
			all = append(all, n.newest)
		}
	}
	return all
}
