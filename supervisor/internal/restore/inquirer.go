package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Inquirer asks the destinations of an account that is about to be refreshed
// what they hold. Files are asked each time. A plugin that restores costs a call
// over a network, and is asked where our record may have been left behind: once
// for a record from before this start of ours, or from before the machine slept
// or its clock jumped. Nobody else is asked, so that many accounts cost little.
type Inquirer struct {
	roster *roster.Roster
	log    *slog.Logger
	wall   func() time.Time
	passed Passed

	mu    sync.Mutex
	since time.Time
	// answered has the sinks and accounts that have answered since then.
	answered map[question]bool
	// asked is when a sink was asked first, and silent are those that had a
	// whole minute and said nothing: nobody waits for them any more.
	asked  map[string]time.Time
	silent map[string]bool

	// open is since when a file has not answered.
	open openQuestions
}

type question struct{ sink, account string }

// askAgain is the pause before a sink that failed is asked again.
const askAgain = 2 * time.Second

// NewInquirer asks the sinks of a roster, as far as it is filled then.
func NewInquirer(r *roster.Roster, passed Passed, log *slog.Logger, wall func() time.Time) *Inquirer {
	e := &Inquirer{roster: r, passed: passed, log: log, wall: wall, open: openQuestions{since: map[question]time.Time{}}}
	e.begin()
	return e
}

func (e *Inquirer) begin() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.since = e.wall()
	e.answered, e.asked, e.silent = map[question]bool{}, map[string]time.Time{}, map[string]bool{}
}

// Observe begins anew when the machine may have been away.
func (e *Inquirer) Observe(ev event.Event) {
	if ev.Type == event.ClockJumped {
		e.begin()
	}
}

// older says whether nobody knows if the record is still the newest one.
func (e *Inquirer) older(rec store.Record) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return rec.StoredAt.Before(e.since)
}

// Ask is [refresh.Config.Elsewhere].
func (e *Inquirer) Ask(ctx context.Context, rec store.Record) refresh.Elsewhere {
	names := e.toAsk(rec)
	answers := make(chan refresh.Elsewhere, len(names))
	for _, name := range names {
		go func() { answers <- e.askOne(ctx, name, rec) }()
	}
	var best refresh.Elsewhere
	policy := e.roster.Ours(rec.Account).Policy
	for range names {
		select {
		case a := <-answers:
			best = better(best, a, policy, e.wall())
		case <-ctx.Done(): // a disk that hangs
			best.Unheard = true
			return best
		}
	}
	return best
}

// better is the newest of two tokens that were found; a doubt stays.
func better(a, b refresh.Elsewhere, p sdk.Policy, now time.Time) refresh.Elsewhere {
	if a.Zone == "" || b.Zone != "" && b.ZoneSink < a.ZoneSink { // whoever answers first
		a.Zone, a.ZoneSink = b.Zone, b.ZoneSink
	}
	a.Unheard = a.Unheard || b.Unheard
	if b.Newer != nil && (a.Newer == nil || lineage.Later(*b.Newer, *a.Newer, p, now)) {
		b.Zone, b.ZoneSink, b.Unheard = a.Zone, a.ZoneSink, a.Unheard
		return b
	}
	if a.Newer == nil && a.Doubt == "" {
		a.Doubt = b.Doubt
	}
	return a
}

// toAsk are the sinks that may know more of the record's account than we do.
func (e *Inquirer) toAsk(rec store.Record) []string {
	older := e.older(rec)
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	there := e.roster.Now()
	for _, name := range slices.Sorted(maps.Keys(there.Workers)) {
		c := there.Config.Sinks[name]
		asked := restores(c) && older && !e.answered[question{name, rec.Account}] && !e.silent[name]
		if (c.Traits().InFiles || asked) && there.Workers[name].Takes(rec.Account) {
			names = append(names, name)
		}
	}
	return names
}

// askOne asks one sink, for as long as ctx lasts.
func (e *Inquirer) askOne(ctx context.Context, name string, rec store.Record) refresh.Elsewhere {
	there := e.roster.Now()
	w, plugin := there.Workers[name], there.Plugins[name]
	if w == nil { // it was there a moment ago
		return refresh.Elsewhere{}
	}
	if plugin == nil {
		return e.askFile(ctx, w, rec)
	}
	first := e.begun(name)
	for {
		held, finding, err := w.Held(ctx, rec)
		if err == nil {
			e.done(name, rec.Account)
			return e.found(w, rec, held, finding)
		}
		pause, cancel := context.WithTimeout(ctx, askAgain)
		if errors.Is(err, sink.ErrAbsent) {
			_ = plugin.AwaitServing(pause)
		} else {
			<-pause.Done()
		}
		cancel()
		if ctx.Err() != nil {
			e.giveUp(name, rec.Account, first, err)
			return refresh.Elsewhere{Unheard: true}
		}
	}
}

// askFile asks a file sink. No context ends a call into a disk that is dead: such a
// call is left behind, and costs those that follow next to nothing.
func (e *Inquirer) askFile(ctx context.Context, w *sink.Worker, rec store.Record) refresh.Elsewhere {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if !rec.Token.Valid(e.wall()) { // consumers wait for the next one
		ctx, cancel = context.WithTimeout(ctx, fileExpired)
		defer cancel()
	}
	return e.open.ask(ctx, question{w.Name(), rec.Account}, func(ctx context.Context) refresh.Elsewhere {
		held, finding, err := w.Held(ctx, rec)
		if err != nil {
			e.log.Debug("nobody knows what the sink holds", "sink", w.Name(), "account", rec.Account, "error", err)
			return unread(w.Name(), rec.Account, err)
		}
		return e.found(w, rec, held, finding)
	})
}

// unread is what a file that could not be read says: another program may have put a
// newer token there. Where there is no place for one, there is none.
func unread(name, account string, err error) refresh.Elsewhere {
	there := refresh.Elsewhere{Unheard: true}
	if !errors.Is(err, fs.ErrNotExist) {
		there.Doubt = fmt.Sprintf("nobody knows whether sink %q holds a newer refresh token of account %s than ours: %v", name, account, err)
	}
	return there
}

func (e *Inquirer) begun(name string) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.asked[name].IsZero() {
		e.asked[name] = time.Now()
	}
	return e.asked[name]
}

func (e *Inquirer) done(name, account string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.answered[question{name, account}] = true
	delete(e.asked, name)
}

// giveUp lets nobody wait any more for a sink that has had its time.
func (e *Inquirer) giveUp(name, account string, first time.Time, err error) {
	e.mu.Lock()
	silent := time.Since(first) >= restoreFreely && !e.silent[name]
	if silent {
		e.silent[name] = true
	}
	e.mu.Unlock()
	e.log.Warn("the sink could not be asked whether it holds a newer token; our own is used", "sink", name, "account", account, "error", err)
	if silent {
		e.log.Warn(fmt.Sprintf("the sink has not answered for %s; refreshes wait for it no longer", restoreFreely), "sink", name)
	}
}

// found says what the finding means to a refresh.
func (e *Inquirer) found(w *sink.Worker, rec store.Record, held readback.Held, f readback.Finding) (there refresh.Elsewhere) {
	if held.Owner == "" && (f.Unknown() || f == readback.Ours && rec.Origin == store.OriginExternal) {
		// Of what we have written there ourselves the times tell nothing.
		if fault := lineage.ZoneFault(held.Document, e.roster.Ours(rec.Account).Policy, e.wall()); fault != "" {
			there.Zone, there.ZoneSink = fault, w.Name()
		}
	}
	switch f {
	case readback.Living:
		there.Newer, there.Where, there.Origin = &held.Document, fmt.Sprintf("sink %q", w.Name()), store.OriginRestore
		if held.File != "" {
			there.Where, there.Origin = fmt.Sprintf("%s (sink %q)", held.File, w.Name()), store.OriginExternal
		}
	case readback.Doubtful:
		there.Doubt = w.Guarded(rec.Account, held, f)
	}
	return there
}

// ours is what is known of an account beside its record.
func (e *Inquirer) ours(account string) lineage.Ours {
	o := e.roster.Ours(account)
	o.Free, _ = e.passed(context.Background(), account) // a store that is closed says nothing of it
	return o
}

// ReadBack is when a sink is asked what it holds before we write there.
func (e *Inquirer) ReadBack(c config.Sink) sink.ReadBack {
	_, isPlugin := plugin.Of(c)
	r := sink.ReadBack{Regularly: isPlugin || c.Traits().InFiles, Found: e.roster.Touch, Ours: e.ours}
	switch {
	case c.Traits().InFiles:
		r.BeforeWriting, r.Unread = func(store.Record) bool { return true }, true
	case restores(c):
		r.BeforeWriting = func(rec store.Record) bool {
			return e.older(rec) && !e.roster.Now().Plugins[c.Name].IsHeld(rec.Account)
		}
	}
	return r
}

// restores says whether the sink gives back what it holds.
func restores(c config.Sink) bool {
	own, ok := plugin.Of(c)
	return ok && own.Restore
}
