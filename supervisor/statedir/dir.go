// Package statedir keeps the directory in which one supervisor has its state: it
// shows others that the directory is in use, opens the store in it, makes it again
// where somebody has removed it, backs it up, and tells what ails it.
package statedir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Config is which directory it is, and who is told of it.
type Config struct {
	Path     string
	Fallback string // the directory that is written to if Path takes nothing; "": none
	Wall     func() time.Time
	Events   *event.Bus
	Log      *slog.Logger
	// Provider of an account; "": it is not configured any more.
	Provider func(account string) string
}

// Dir is a directory that is in use.
type Dir struct {
	cfg      Config
	facts    *event.Facts
	presence *presence
	starting *presence
	stopping *presence
	store    *store.Journal
	// looking admits one look at the disk at a time.
	looking sync.Mutex
}

// Open takes a directory into use, and tells what its store had to restore. The
// error is [store.ErrInUse] if another supervisor has it.
func Open(c Config) (*Dir, error) {
	d := &Dir{cfg: c, facts: c.Events.NewFacts(), stopping: &presence{}}
	var warning string
	var err error
	if d.presence, warning, err = appear(c.Path); err != nil {
		return nil, err
	}
	if warning != "" {
		c.Log.Warn(warning)
	}
	d.starting = announce(startingName(c.Path))
	d.store, err = store.Open(c.Path, store.Options{Now: c.Wall, Fallback: c.Fallback, Trouble: d.trouble, Log: c.Log})
	if err != nil {
		return nil, errors.Join(err, d.starting.Close(), d.presence.Close())
	}
	if r := d.store.Restored(); r != nil {
		d.tellRestored(r)
	}
	return d, nil
}

// Observe is Open for who changes nothing: the directory is not taken into use, so that
// nobody is kept from it, and its store is read once and goes on in memory. The error is
// [store.ErrInUse] if another supervisor has it.
func Observe(c Config) (*Dir, error) {
	if pid := Displaced(c.Path); pid != 0 {
		return nil, fmt.Errorf("%w: %s is that of a supervisor (process %d), which shows everything itself (tokenkeeper status); stop it first, to observe in its place",
			store.ErrInUse, c.Path, pid)
	}
	st, err := store.Observe(c.Path, store.Options{Now: c.Wall, Fallback: c.Fallback, Log: c.Log})
	if err != nil {
		return nil, err
	}
	return &Dir{cfg: c, facts: c.Events.NewFacts(), presence: &presence{}, starting: &presence{}, stopping: &presence{}, store: st}, nil
}

// Use opens the store of a directory in which no supervisor runs, for as long as do
// takes. The error is [store.ErrInUse] if one does.
func Use(path, fallback string, do func(*store.Journal) error) (err error) {
	here, _, err := appear(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, here.Close()) }()
	st, err := store.Open(path, store.Options{Now: time.Now, Fallback: fallback})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return do(st)
}

// Store is the one in the directory.
func (d *Dir) Store() *store.Journal { return d.store }

// Facts are what is known to ail the store and its disk.
func (d *Dir) Facts() *event.Facts { return d.facts }

// Started is called when the supervisor listens at its control socket.
func (d *Dir) Started() { _ = d.starting.Close() }

// Stops is called before the supervisor listens at its control socket no more.
func (d *Dir) Stops() {
	if d.presence.fd != 0 { // an observer has no directory in use
		d.stopping = announce(stoppingName(d.cfg.Path))
	}
}

// Close gives the directory up.
func (d *Dir) Close() error {
	return errors.Join(d.starting.Close(), d.store.Close(), d.stopping.Close(), d.presence.Close())
}

// trouble publishes what the store meets. The store calls it in the middle of its
// work, so it only tells.
func (d *Dir) trouble(t store.Trouble) {
	if t.Displaced {
		d.facts.Meet(slog.LevelError, event.Event{
			Type:    event.StoreDisplaced,
			Message: fmt.Sprintf("%s (%s). Somebody, or some program, removes, moves or replaces files there: keep it away from the state directory", t.What, t.Path),
		})
		return
	}
	if t.Recovered {
		d.cfg.Log.Info(t.What, "path", t.Path)
		// A disk that answers says nothing of who meddles with the files on it: that
		// alert fades by itself.
		d.facts.End(event.DiskTrouble, "")
		return
	}
	d.facts.Meet(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Message: fmt.Sprintf("%s (%s): %v", t.What, t.Path, t.Err),
	})
}

// Look sees whether the store still is where it was put, and makes it again there;
// then it calls also, and makes the daily backup if it is due and ctx has not ended. That
// may take as long as the disk does, so Look does not wait for it, and does nothing while
// an earlier look goes on.
func (d *Dir) Look(ctx context.Context, also func()) {
	if !d.looking.TryLock() {
		return
	}
	go func() {
		defer d.looking.Unlock()
		d.presence.look()
		d.store.Look()
		also()
		d.backUp(ctx)
	}()
}

// tellRestored says for every account what it goes on with.
func (d *Dir) tellRestored(r *store.Restored) {
	text := fmt.Sprintf("the store could not be read (%v) and was restored", r.Cause)
	if r.Kept != "" {
		text += "; the damaged file is kept as " + r.Kept
	}
	if len(r.Missing) > 0 {
		text += "; nothing was found of the accounts " + strings.Join(r.Missing, ", ") + ": log in again, or import a token"
	}
	d.facts.Meet(slog.LevelError, event.Event{Type: event.StoreRestored, Message: text})
	for _, a := range r.Accounts {
		tell, level, text := d.cfg.Events.Publish, slog.LevelInfo, "its newest version was restored"
		if !a.Newest {
			tell, level = d.facts.Meet, slog.LevelWarn
			text = "a newer version may be lost, so its refresh token may be spent: the spool, the shared file and the sinks that give tokens back are asked first"
		}
		tell(level, event.Event{
			Type: event.StoreRestored, Account: a.Account, Version: a.Version, Provider: d.cfg.Provider(a.Account),
			Message: fmt.Sprintf("version %d of %s, from %s: %s", a.Version, a.StoredAt.Format(time.RFC3339), a.Source, text),
		})
	}
}

// Doubted are the accounts that the store had to take from a backup, of which a
// newer version may have been lost.
func (d *Dir) Doubted() map[string]bool {
	accounts := map[string]bool{}
	if r := d.store.Restored(); r != nil {
		for _, a := range r.Accounts {
			accounts[a.Account] = !a.Newest
		}
	}
	return accounts
}

// backUp makes the daily backup when it is due.
func (d *Dir) backUp(ctx context.Context) {
	if ctx.Err() != nil || !d.store.BackupDue(d.cfg.Wall()) {
		return
	}
	if d.store.Backup(ctx) != nil {
		return // the store has told why
	}
	d.cfg.Log.Info("the store was backed up")
}
