package refresh

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// holdsNothing says whether err, of reading a shared file, means that it is
// gone, empty, cut off or damaged.
func holdsNothing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, format.ErrUnreadable)
}

// A program that writes in place and without the lock leaves the file empty or
// cut off for a moment: a file with nothing in it is read again, so often and
// so far apart, before that is believed.
const (
	readsAgain = 3
	readAgain  = 200 * time.Millisecond
)

// readShared reads the file under its lock.
func (k *Keeper) readShared(ctx context.Context, a *leased) (d format.Document, err error) {
	for n := 0; ; n++ {
		d, err = a.cfg.Shared.Read()
		if n == readsAgain || !holdsNothing(err) || !k.canMend(a.account) {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, err
		case <-time.After(readAgain):
		}
	}
}

// canMend says whether there is anything to put into a shared file that holds
// nothing.
func (k *Keeper) canMend(a *account) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return a.stored() && !a.rec().NeedsLogin() && !a.rec().Token.RefreshToken.IsZero()
}

// mend puts the newest token into a shared file that holds nothing, and whose
// lock is held: its other programs would stand still until the next refresh.
func (k *Keeper) mend(a *leased, why error) {
	if !k.canMend(a.account) || !a.locked {
		k.cfg.Log.Debug("nothing usable is in the shared file", "provider", k.cfg.Provider, "account", a.cfg.Name, "error", why)
		return
	}
	kept, err := a.cfg.Shared.Mend(a.shared(a.rec()))
	crashpoint.Here("shared: mended")
	if err != nil {
		k.notWritten(a, a.rec(), err)
		return
	}
	k.facts.End(event.DiskTrouble, a.cfg.Name)
	message := "the shared file was not there; it is now, with the newest token"
	if !errors.Is(why, fs.ErrNotExist) {
		message = "the shared file was empty or damaged; it was put right with the newest token"
	}
	if kept != "" {
		message += ". What was in it is kept in " + kept + ", and may be removed"
	}
	k.publish(slog.LevelWarn, a.cfg.Name, event.Event{Type: event.SharedFileMended, Version: a.rec().Version, Message: message})
}
