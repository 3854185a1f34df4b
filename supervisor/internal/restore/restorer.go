// Package restore asks sinks what they hold of an account: after a start, what this
// machine has lost, and before each refresh, whether somebody has put something newer
// there.
package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/importing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// restoreFirst, doubled up to restoreMost, is the pause before a sink that
	// could not answer is asked again.
	restoreFirst = 2 * time.Second
	restoreMost  = 5 * time.Minute
	// restoreAtOnce bounds the calls to one sink at a time.
	restoreAtOnce = 8
	// restoreFreely is how long a refresh token that may be spent waits for
	// what sinks hold. A broker may end the whole login when a spent one is
	// used; but a sink that can't be asked must not keep a token from being
	// refreshed.
	restoreFreely = time.Minute
)

// Store is where an account's open attempt is noted, and when its name was free.
type Store interface {
	Intent(ctx context.Context, account string) (in store.Intent, open bool, err error)
	Passed(ctx context.Context, account string) (time.Time, error)
}

// Config is what a Restorer needs.
type Config struct {
	Roster *roster.Roster
	Store  Store
	// Doubted are the accounts whose record comes from a backup, so that a newer one
	// may have been lost.
	Doubted map[string]bool
	Events  *event.Bus
	Log     *slog.Logger
	Wall    func() time.Time
}

// Restorer takes back from sinks what this machine has lost: once their processes
// serve it asks them for every account that has no usable token now, or whose token
// is doubted. A sink keeps what it holds of such an account until then.
type Restorer struct {
	cfg   Config
	there *roster.Present          // when it was made: it asks nobody else
	slots map[string]chan struct{} // by sink
	lost  map[string]*lostToken    // by account
}

// New must be called before anything is delivered.
func New(c Config) *Restorer {
	r := &Restorer{cfg: c, there: c.Roster.Now(), slots: map[string]chan struct{}{}, lost: map[string]*lostToken{}}
	for _, name := range slices.Sorted(maps.Keys(r.there.Plugins)) {
		sinkConfig := r.there.Config.Sinks[name]
		if !restores(sinkConfig) {
			continue
		}
		r.slots[name] = make(chan struct{}, restoreAtOnce)
		for _, a := range r.there.Config.SinkAccounts(sinkConfig) {
			r.lose(a, name)
		}
	}
	return r
}

// lose has a sink asked for an account, if that is in need of it.
func (r *Restorer) lose(a config.Account, sinkName string) {
	k := r.keeper(a)
	if k == nil {
		return
	}
	st, _ := k.Status(a.Name)
	l := &lostToken{account: a, version: st.Record.Version, doubted: r.cfg.Doubted[a.Name]}
	if !r.wants(l, st) {
		return
	}
	if r.lost[a.Name] == nil {
		r.lost[a.Name] = l
		if l.doubted {
			k.Postpone(a.Name, r.cfg.Wall().Add(restoreFreely))
		}
	}
	r.lost[a.Name].sinks = append(r.lost[a.Name].sinks, sinkName)
	r.there.Plugins[sinkName].Hold(a.Name, st.Record.Version)
}

func (r *Restorer) keeper(a config.Account) *refresh.Keeper { return r.there.Keepers[a.Provider] }

// lostToken is an account without a usable token, or with a doubted one, and
// the sinks that may hold a better one and have not said what.
type lostToken struct {
	account  config.Account
	sinks    []string
	version  uint64 // of the record, when it was found to be dead, or to be doubted
	doubted  bool   // it comes from a backup, and a newer one may have been lost
	failures int
}

// trouble says for people what the account lacks.
func (l *lostToken) trouble() string {
	if l.doubted {
		return fmt.Sprintf("account %s goes on with what a backup held of it, which may be old", l.account.Name)
	}
	return fmt.Sprintf("account %s has no usable token", l.account.Name)
}

// Run asks until each account has a usable token, or each of its sinks has said
// that it can't help. It returns when ctx has ended.
func (r *Restorer) Run(ctx context.Context) error {
	var all sync.WaitGroup
	for _, l := range r.lost {
		all.Go(func() { r.restore(ctx, l) })
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// lacks says whether a person would have to log in.
func (r *Restorer) lacks(st refresh.Status) bool {
	expiry := st.Record.RefreshExpiry
	return st.State == refresh.New || st.State == refresh.NeedsLogin ||
		(!expiry.IsZero() && !r.cfg.Wall().Before(expiry))
}

// wants says whether the account still needs what a sink may hold.
func (r *Restorer) wants(l *lostToken, st refresh.Status) bool {
	return r.lacks(st) || (l.doubted && st.Record.Version == l.version)
}

// restore asks the account's sinks in rounds, ever more rarely.
func (r *Restorer) restore(ctx context.Context, l *lostToken) {
	defer func() {
		if ctx.Err() == nil { // or who follows decides
			r.keeper(l.account).Postpone(l.account.Name, time.Time{})
		}
	}()
	for pause := restoreFirst; ; pause = min(2*pause, restoreMost) {
		failed := r.round(ctx, l, pause)
		if ctx.Err() != nil || len(failed) == 0 {
			return
		}
		r.wait(ctx, pause, failed)
		if ctx.Err() != nil {
			return
		}
	}
}

// wait returns after the pause, or when the process of one of the sinks serves
// again that did not.
func (r *Restorer) wait(ctx context.Context, pause time.Duration, failed map[string]error) {
	ctx, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	for name, err := range failed {
		if errors.Is(err, sink.ErrAbsent) {
			go func() {
				if r.there.Plugins[name].AwaitServing(ctx) == nil {
					cancel()
				}
			}()
		}
	}
	<-ctx.Done()
}

// found is what a sink gave back.
type found struct {
	sink     string
	document format.Document
	storedAt time.Time
}

// round asks each sink that has not answered, and imports the newest token that
// is better than what the store has. It returns which sinks have to be asked
// again, and why; none when the account is done with.
func (r *Restorer) round(ctx context.Context, l *lostToken, pause time.Duration) map[string]error {
	k := r.keeper(l.account)
	failed := map[string]error{}
	var best *found
	for _, name := range l.sinks {
		if st, _ := k.Status(l.account.Name); !r.wants(l, st) {
			r.done(ctx, l, l.sinks...) // a person was faster, or a shared file, or a sink
			return nil
		}
		f, err := r.ask(ctx, l, name)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errConclusive) && l.doubted:
			r.cfg.Log.Info("the sink holds nothing better than the restored store", "sink", name, "account", l.account.Name, "error", err)
		case errors.Is(err, errConclusive):
			r.tell(l, slog.LevelWarn, event.RestoreFailed, name, fmt.Sprintf(
				"%s, and sink %q is of no help: %v; %s", l.trouble(), name, err, r.otherwise(l).With("")))
		case err != nil:
			failed[name] = err
		case f != nil && (best == nil || lineage.Later(f.document, best.document, k.Policy(), r.cfg.Wall())):
			best = f
		}
	}
	if best != nil {
		if err := r.take(ctx, l, *best); err != nil {
			failed[best.sink] = err
		}
	}
	answered := slices.DeleteFunc(slices.Clone(l.sinks), func(name string) bool { return failed[name] != nil })
	l.sinks = slices.DeleteFunc(l.sinks, func(name string) bool { return failed[name] == nil })
	r.done(ctx, l, answered...)
	r.complain(ctx, l, failed, pause)
	return failed
}

// errConclusive: the sink has answered, and asking again would not help.
var errConclusive = errors.New("the token can't be taken back")

// ask returns what a sink holds of the account, if it is a token that the store
// does not know better; nil if it holds nothing.
func (r *Restorer) ask(ctx context.Context, l *lostToken, name string) (*found, error) {
	a := l.account
	select {
	case r.slots[name] <- struct{}{}:
		defer func() { <-r.slots[name] }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	got, err := r.there.Plugins[name].Restore(ctx, a.Name, a.Provider)
	switch {
	case errors.Is(err, sdk.ErrNothingStored):
		r.cfg.Log.Info("the sink holds no token of the account", "sink", name, "account", a.Name)
		return nil, nil
	case errors.Is(err, sdk.ErrUnimplemented):
		return nil, fmt.Errorf("%w: sinks of this type give nothing back; remove restore from sinks.%s", errConclusive, name)
	case err != nil:
		return nil, err
	}
	d, err := sink.Decode(r.there.Config.Sinks[name].Content, []byte(got.Content.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConclusive, err)
	}
	d.WrittenAt = got.StoredAt
	free, err := r.cfg.Store.Passed(ctx, a.Name)
	if err != nil {
		return nil, err
	}
	if fault := predecessors(free, d); fault != "" {
		return nil, fmt.Errorf("%w: %s", errConclusive, fault)
	}
	st, _ := r.keeper(a).Status(a.Name)
	ours := r.cfg.Roster.Ours(a.Name)
	ours.Record = st.Record
	if fault := unfit(ours, d, r.cfg.Wall(), l.doubted && !r.lacks(st)); fault != "" {
		return nil, fmt.Errorf("%w: %s", errConclusive, fault)
	}
	return &found{sink: name, document: d, storedAt: got.StoredAt}, nil
}

// take makes what a sink gave back the account's newest record.
func (r *Restorer) take(ctx context.Context, l *lostToken, f found) error {
	if in, open, err := r.cfg.Store.Intent(ctx, l.account.Name); err != nil {
		return err
	} else if open {
		// Its answer may hold something newer, and an import would end it.
		return fmt.Errorf("an attempt of the account is still open (begun %s); the provider settles it first", in.At.UTC().Format(time.RFC3339))
	}
	k := r.keeper(l.account)
	next, _ := importing.Record(k, l.account.Name, f.document, store.OriginRestore)
	st, _ := k.Status(l.account.Name)
	instead := !r.lacks(st) // of a token that may be good: then of the doubted one alone
	if instead {
		next.Version = l.version + 1
	}
	rec, err := k.Import(ctx, next, instead && l.doubted)
	if errors.Is(err, refresh.ErrHasToken) {
		return errors.New("the token in the store has not been refused yet: it is tried first")
	}
	if err != nil {
		return err
	}
	when := "at an unknown time"
	if !f.storedAt.IsZero() {
		when = f.storedAt.UTC().Format(time.RFC3339)
	}
	r.tell(l, slog.LevelWarn, event.Restored, f.sink, fmt.Sprintf(
		"%s here; the newest one that sink %q holds, stored there %s, is its version %d now",
		l.trouble(), f.sink, when, rec.Version))
	return nil
}

// done lets deliveries through to sinks that have answered. A token that was
// held back from them is delivered after all: it is the newest there is.
func (r *Restorer) done(ctx context.Context, l *lostToken, sinks ...string) {
	for _, name := range sinks {
		r.there.Plugins[name].Release(l.account.Name)
		if st, _ := r.keeper(l.account).Status(l.account.Name); l.version == 0 || st.Record.Version > l.version {
			continue
		}
		if _, err := r.there.Workers[name].Redeliver(ctx, l.account.Name); err != nil {
			r.cfg.Log.Debug("what was held back is not delivered", "sink", name, "account", l.account.Name, "error", err)
		}
	}
}

// complain tells of a round that could not be finished: of the first ones, and
// then ever fewer.
func (r *Restorer) complain(ctx context.Context, l *lostToken, failed map[string]error, pause time.Duration) {
	if len(failed) == 0 || ctx.Err() != nil {
		return
	}
	l.failures++
	if l.failures&(l.failures-1) != 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(failed)) {
		r.tell(l, slog.LevelWarn, event.RestoreFailed, name, fmt.Sprintf(
			"%s, and sink %q could not be asked for the one that it holds: %v; trying again in %s; "+
				"this ends too once you %s", l.trouble(), name, failed[name], pause, r.otherwise(l).With("")))
	}
}

// otherwise is how a person gives the account a token that no sink brings.
func (r *Restorer) otherwise(l *lostToken) advice.Token {
	st, _ := r.keeper(l.account).Status(l.account.Name)
	by := st.By
	by.Stands = st.Record.Version > 0
	return by
}

func (r *Restorer) tell(l *lostToken, level slog.Level, t event.Type, sinkName, message string) {
	r.cfg.Events.Publish(level, event.Event{
		Type: t, Account: l.account.Name, Provider: l.account.Provider, Sink: sinkName, Failures: l.failures, Message: message,
	})
}
