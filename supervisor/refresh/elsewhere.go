package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Elsewhere is what an account's destinations say that they hold.
type Elsewhere struct {
	// Newer is a token that is to be used instead of the record's; nil: there
	// is none. Where it is, for people, and what a record of it comes from.
	Newer  *format.Document
	Where  string
	Origin store.Origin
	// Doubt is why the record's refresh token should not be spent before it has
	// to be, and what a person can do; "": nothing speaks against it.
	Doubt string
	// Zone is why the local times that the sink ZoneSink holds can't be right;
	// "": they can.
	Zone, ZoneSink string
	// Unheard: a destination that may hold a token could not be asked, and what it
	// said before may still be so.
	Unheard bool
}

const (
	// askingMost is how long a refresh token that may be spent waits for what
	// destinations hold. A broker may end the whole login when a spent one is
	// used; but a destination that can't be asked must not keep a token from
	// being refreshed. askingLeast is for one that has to be refreshed now, and
	// askingLocked for while the lock of a shared file is held.
	askingMost   = time.Minute
	askingLeast  = 2 * time.Second
	askingLocked = 3 * time.Second
	// lastMoment is when a refresh has to begin, before consumers are left with
	// a token that has expired; doubtAgain is how often a doubt is looked at.
	lastMoment = time.Minute
	doubtAgain = 30 * time.Second
)

// inquiry is what an account's destinations have said when its record had that
// version.
type inquiry struct {
	version uint64
	said    Elsewhere
}

// inquire asks the account's destinations what they hold.
func (k *Keeper) inquire(ctx context.Context, a *leased) Elsewhere {
	limit := askingMost
	if left := a.rec().Token.Expiry().Sub(k.clock.Now().Wall); left > 0 {
		limit = min(limit, max(left-lastMoment, askingLeast))
	}
	if a.locked {
		limit = min(limit, askingLocked)
	}
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := k.cfg.Elsewhere(asking, a.rec())
	k.mu.Lock()
	defer k.mu.Unlock()
	unknown := said.Zone == "" && said.Unheard // then it stays as it was
	if zone := (wrongZone{said.Zone, said.ZoneSink}); a.zone != zone && !unknown {
		a.zone = zone
		k.changes(a.account)
	}
	return said
}

// wrongZone is why the local times in a sink's file can't be right; the zero
// value: they can.
type wrongZone struct{ fault, sink string }

// askAhead asks before the shared file is locked: the programs that share it
// wait for nobody's destinations.
func (k *Keeper) askAhead(ctx context.Context, a *leased) {
	a.ahead = nil
	if k.cfg.Elsewhere != nil && a.cfg.Shared != nil && a.stored() && !a.unfinished() {
		a.ahead = &inquiry{a.rec().Version, k.inquire(ctx, a)}
	}
}

// consult asks the account's destinations what they hold, or goes by what they
// have said ahead, and takes what is newer than the record. doubt is why the
// record's token should wait.
func (k *Keeper) consult(ctx context.Context, a *leased) (taken bool, doubt string, err error) {
	if k.cfg.Elsewhere == nil || !a.stored() {
		return false, "", nil
	}
	var there Elsewhere
	if ahead := a.ahead; ahead != nil && ahead.version == a.rec().Version {
		there = ahead.said
	} else {
		there = k.inquire(ctx, a)
	}
	a.ahead = nil // it is true once
	if there.Newer == nil {
		return false, there.Doubt, nil
	}
	err = k.takeFound(ctx, a, *there.Newer, there.Origin, there.Where)
	if err == nil {
		k.lookWhenIdle(a)
	}
	return true, "", err
}

// waitInDoubt keeps the refresh token while the access token is valid, as far
// as there is a doubt; afterwards our record is all that there is.
func (k *Keeper) waitInDoubt(a *leased, doubt string) error {
	now := k.clock.Now()
	last := a.rec().Token.Expiry().Add(-lastMoment)
	told := a.desk().doubt == doubt
	a.desk().doubt = doubt
	if doubt == "" {
		return nil
	}
	if !now.Wall.Before(last) {
		k.cfg.Log.Warn("our own refresh token is used, because the access token is about to end: "+doubt,
			"provider", k.cfg.Provider, "account", a.cfg.Name)
		return nil
	}
	next := now.Wall.Add(doubtAgain)
	if next.After(last) {
		next = last
	}
	k.mu.Lock()
	k.dueAt(a.account, next, now)
	a.pauseFor(promise.Doubt, doubt)
	k.mu.Unlock()
	message := "nothing is refreshed before " + last.UTC().Format(time.RFC3339) + ": " + doubt
	if !told {
		k.publish(slog.LevelWarn, a.cfg.Name, event.Event{Type: event.RefreshPutOff, Expiry: a.rec().Token.Expiry(), Next: next, Message: message})
	}
	return fmt.Errorf("account %s: %s", a.cfg.Name, message)
}

// foundAfterRefusal looks once more for a living token, now that the record's
// is known to be dead.
func (k *Keeper) foundAfterRefusal(ctx context.Context, a *leased, attempt string) (bool, error) {
	found, _, err := k.consult(ctx, a)
	if err == nil && found {
		k.trouble(slog.LevelWarn, a.cfg.Name, event.Event{
			Type: event.RivalRefresher, Attempt: attempt,
			Message: "the server refused our refresh token, and a destination held another one: another program has refreshed " +
				"this grant, or a login has replaced it. Its token is used; if such a program still runs, stop it or give the account a shared_file",
		})
	}
	return found, err
}

// errWentBack: the token that was sent is dead, and the one before it, which was
// not asked about yet, is the record's now.
var errWentBack = errors.New("the refresh token that was found elsewhere was refused; the one before it is tried")

// goBack returns to the newest token that the refused one had taken the place
// of, if that may live. Those before it are kept for when it does not.
func (k *Keeper) goBack(ctx context.Context, a *leased, refused store.Record) error {
	chain := refused.Unproven(refused.Token)
	b, now := chain[0], k.clock.Now().Wall
	rec := refused.Next(b.Token, store.OriginExternal, "", now)
	a.trim(&rec)
	from := a.broughtBy(refused)
	rec.LoginAt, rec.LoginUncertain, rec.RefreshExpiry, rec.Before = b.LoginAt, b.LoginUncertain, b.RefreshExpiry, chain[1:]
	rec.GrantedTo = b.GrantedTo
	if err := ReplaceGrant(ctx, k.cfg.Store, rec); err != nil {
		return k.diskTrouble(a, fmt.Errorf("go back to the token before the one that was refused: %w", err))
	}
	k.renewed(a, rec)
	k.lookWhenIdle(a)
	k.publish(slog.LevelDebug, a.cfg.Name, event.Event{
		Type: event.Adopted, Version: rec.Version, Expiry: rec.Token.Expiry(),
		Message: "the refresh token before the one that was refused is tried",
	})
	k.trouble(slog.LevelWarn, a.cfg.Name, event.Event{
		Type: event.FoundRefused, Version: rec.Version, Expiry: rec.Token.Expiry(),
		Message: fmt.Sprintf("the broker refused the refresh token that came from %s, and the one before it is tried. Look who wrote that token; "+
			"if it should have been this account's newest, log in with: tokenkeeper login %s", from, a.cfg.Name),
	})
	return nil
}
