package refresh

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// prove makes sure, before the attempt is announced, that the shared file can
// be replaced: a token that is spent while its successor can't be written
// leaves the other programs with a dead one. If it can't, nothing is spent, and
// it is tried again with growing pauses.
func (a *leased) prove() error {
	if a.cfg.Shared == nil || !a.locked {
		return nil
	}
	err := a.cfg.Shared.Prove()
	if err == nil {
		a.desk().unproved = 0
		return nil
	}
	a.desk().unproved++
	a.keeper.mu.Lock()
	a.step(acct.Failed{Kind: sdk.KindNotSent, Error: err.Error(), At: a.keeper.clock.Now().Wall})
	next := a.putOff(a.desk().unproved, promise.DiskAway, err)
	a.keeper.mu.Unlock()
	a.trouble(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Kind: string(sdk.KindNotSent), Expiry: a.rec().Token.Expiry(), Next: next,
		Message: err.Error() + ". The refresh token was not used, because the other programs would be left with a dead one. It is tried again",
	})
	return fmt.Errorf("account %s: %w", a.cfg.Name, err)
}

// proveForLogin is prove for a code, which a person has just got and which
// dies within seconds: it is spent in any case. BeginLogin has asked whether
// the file can be replaced.
func (a *leased) proveForLogin() {
	if a.cfg.Shared == nil || !a.locked {
		return
	}
	if err := a.cfg.Shared.Prove(); err != nil {
		a.log().Warn("the token of this login may not reach the shared file", "error", err)
	}
}

// askShared tells at the start of a generation and from time to time, and so long
// before the token would be needed, of every shared file that can't be replaced.
func (k *Keeper) askShared() {
	for _, a := range k.sharing {
		err := a.cfg.Shared.Replaceable()
		if err == nil {
			continue
		}
		a.trouble(slog.LevelError, event.Event{
			Type:    event.DiskTrouble,
			Message: err.Error() + ". Until that is put right, this account is not refreshed",
		})
	}
}

// bringToShared brings an answer's token to the shared file, whose lock is held.
// An answer may come late: it waited in the spool for the next start, or the disk
// took it after hours. Meanwhile another program may have refreshed from the file,
// or logged in, and nobody has that token but the file: it is not written over,
// but looked at once the work on the account ends.
func (a attempt) bringToShared(answer sdk.Answer, rec store.Record) {
	justNow := spool.IsLogin(a.in.Kind) && !answer.Recovered // a person has logged in
	if a.cfg.Shared == nil || !a.locked || justNow || a.mayReplace(rec) {
		a.writeShared(rec)
		return
	}
	a.lookWhenIdle()
}

// mayReplace says whether rec may take the place of what the shared file holds:
// nothing is lost by it, or a person has been asked about that very token, and
// wants it so.
func (a *leased) mayReplace(rec store.Record) bool {
	d, err := a.cfg.Shared.Read()
	if err != nil { // Write says more
		return true
	}
	a.keeper.mu.Lock()
	o, now := a.ours(), a.keeper.clock.Now().Wall
	decided := a.file.asked.theirs != "" && a.file.asked.theirs == d.RefreshToken.Fingerprint()
	a.keeper.mu.Unlock()
	o.Record, o.Open = rec, false
	switch v := o.Judge(lineage.Found{Document: d}, now).Verdict; v {
	case lineage.Silent, lineage.Outlived:
		return true
	default:
		return decided || v.Known() && !v.Newer()
	}
}

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
func (a *leased) readShared(ctx context.Context) (d format.Document, err error) {
	for n := 0; ; n++ {
		d, err = a.cfg.Shared.Read()
		if n == readsAgain || !holdsNothing(err) || !a.canMend() {
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
func (a *account) canMend() bool {
	return a.stored() && !a.rec().Refused() && !a.rec().Token.RefreshToken.IsZero()
}

// mend puts the newest token into a shared file that holds nothing, and whose
// lock is held: its other programs would stand still until the next refresh.
func (a *leased) mend(why error) {
	if !a.canMend() || !a.locked {
		a.log().Debug("nothing usable is in the shared file", "error", why)
		return
	}
	kept, err := a.cfg.Shared.Mend(a.shared(a.rec()))
	crashpoint.Here("shared: mended")
	if err != nil {
		a.notWritten(a.rec(), err)
		return
	}
	a.diskServes()
	message := "the shared file was not there; it is now, with the newest token"
	if !errors.Is(why, fs.ErrNotExist) {
		message = "the shared file was empty or damaged; it was put right with the newest token"
	}
	if kept != "" {
		message += ". What was in it is kept in " + kept + ", and may be removed"
	}
	a.publish(slog.LevelWarn, event.Event{Type: event.SharedFileMended, Version: a.rec().Version, Message: message})
}

// writeShared brings the newest token to the shared file, whose lock is held.
// A failure is told and left to the next look: the record is safe.
func (a *leased) writeShared(rec store.Record) bool {
	if a.cfg.Shared == nil || !a.locked {
		return a.cfg.Shared == nil
	}
	err := a.cfg.Shared.Write(a.shared(rec))
	crashpoint.Here("shared: written")
	if err != nil {
		a.notWritten(rec, err)
		return false
	}
	a.keeper.mu.Lock()
	a.file.asked, a.file.zone = question{}, "" // our own token and times stand there
	a.keeper.mu.Unlock()
	a.diskServes()
	return true
}

func (a *leased) notWritten(rec store.Record, err error) {
	a.trouble(slog.LevelError, event.Event{
		Type: event.DiskTrouble, Version: rec.Version,
		Message: "the newest token could not be written to the shared file, whose other readers still see the old one: " +
			err.Error() + ". It is tried again",
	})
}

// shared is what the shared file shall hold.
func (a *account) shared(rec store.Record) format.Document {
	d := rec.Document()
	d.ClientID, d.ClientSecret = a.cfg.ClientID, a.cfg.ClientSecret
	return d
}
