package supervisor

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// openStore opens the store and tells what it had to restore.
func (s *Supervisor) openStore() (*store.Bolt, error) {
	st, err := store.Open(s.opts.Config.StateDir, store.Options{
		Now: s.opts.Seams.Wall, Fallback: s.opts.Config.FallbackDir, Trouble: s.diskTrouble, Log: s.log,
	})
	if err != nil {
		return nil, err
	}
	if r := st.Restored(); r != nil {
		s.tellRestored(r)
	}
	return st, nil
}

// diskTrouble publishes what the store meets. The store calls it in the middle
// of its work, so it only tells.
func (s *Supervisor) diskTrouble(t store.Trouble) {
	if t.Displaced {
		s.facts.Meet(slog.LevelError, event.Event{
			Type:    event.StoreDisplaced,
			Message: fmt.Sprintf("%s (%s). Somebody, or some program, removes, moves or replaces files there: keep it away from the state directory", t.What, t.Path),
		})
		return
	}
	if t.Recovered {
		s.log.Info("the store is durable again: "+t.What, "path", t.Path)
		s.facts.End(event.DiskTrouble, "")
		s.facts.End(event.StoreDisplaced, "")
		return
	}
	s.facts.Meet(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Message: fmt.Sprintf("%s (%s): %v", t.What, t.Path, t.Err),
	})
}

// lookAtDisk sees whether the store and the control socket still are where they
// were put. That may take as long as the disk does, so nobody waits for it.
func (s *Supervisor) lookAtDisk() {
	if !s.looking.TryLock() {
		return
	}
	go func() {
		defer s.looking.Unlock()
		s.presence.look()
		s.store.Look() // which makes the directory again
		s.lookAtSocket()
	}()
}

func (s *Supervisor) lookAtSocket() {
	reopened, err := s.listener.Reopen()
	switch {
	case reopened:
		s.shut = ""
		s.log.Warn("the control socket had been removed or replaced, and was opened again", "socket", s.listener.Addr())
	case err != nil && err.Error() != s.shut:
		s.shut = err.Error()
		s.log.Error("the control socket was removed or replaced and can't be opened again, so the verbs do not reach this process; "+
			"it is tried again all the time, and everything else goes on", "error", err)
	}
}

// tellRestored says for every account what it goes on with.
func (s *Supervisor) tellRestored(r *store.Restored) {
	text := fmt.Sprintf("the store could not be read (%v) and was restored", r.Cause)
	if r.Kept != "" {
		text += "; the damaged file is kept as " + r.Kept
	}
	if len(r.Missing) > 0 {
		text += "; nothing was found of the accounts " + strings.Join(r.Missing, ", ") + ": log in again, or import a token"
	}
	s.facts.Meet(slog.LevelError, event.Event{Type: event.StoreRestored, Message: text})
	for _, a := range r.Accounts {
		tell, level, text := s.events.Publish, slog.LevelInfo, "its newest version was restored"
		if !a.Newest {
			tell, level = s.facts.Meet, slog.LevelWarn
			text = "a newer version may be lost, so its refresh token may be spent: the spool, the shared file and the sinks that give tokens back are asked first"
		}
		tell(level, event.Event{
			Type: event.StoreRestored, Account: a.Account, Version: a.Version,
			Provider: s.opts.Config.Accounts[a.Account].Provider,
			Message:  fmt.Sprintf("version %d of %s, from %s: %s", a.Version, a.StoredAt.Format(time.RFC3339), a.Source, text),
		})
	}
}

// backUp makes the daily backup when it is due.
func (s *Supervisor) backUp(ctx context.Context) {
	if !s.store.BackupDue(s.opts.Seams.Wall()) {
		return
	}
	if err := s.store.Backup(ctx); err != nil {
		s.facts.Meet(slog.LevelError, event.Event{
			Type:    event.DiskTrouble,
			Message: fmt.Sprintf("the daily backup of the store failed: %v. Check the disk of the state directory", err),
		})
		return
	}
	if s.store.Fault() == nil {
		s.facts.End(event.DiskTrouble, "")
	}
	s.log.Info("the store was backed up")
}
