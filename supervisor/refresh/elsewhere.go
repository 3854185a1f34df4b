package refresh

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// askingMost is how long a refresh token that may be spent waits for what
	// destinations hold. A broker may end the whole login when a spent one is
	// used; but a destination that can't be asked must not keep a token from
	// being refreshed. askingLeast is for one that has to be refreshed now, and
	// askingLocked for while the lock of a shared file is held.
	askingMost   = time.Minute
	askingLeast  = 2 * time.Second
	askingLocked = 3 * time.Second
	// lastMoment is when a refresh has to begin before consumers are left with
	// nothing, or the refresh token ends and the login with it; doubtAgain is how often a doubt is looked at.
	lastMoment = time.Minute
	doubtAgain = 30 * time.Second
)

// inquire asks the account's destinations what they hold.
func (a finder) inquire(ctx context.Context) Elsewhere {
	limit := askingMost
	now := a.keeper.clock.Now().Wall
	if left := a.dies(now).Sub(now); left > 0 {
		limit = min(limit, max(left-lastMoment, askingLeast))
	}
	if a.share.IsLocked() {
		limit = min(limit, askingLocked)
	}
	asking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := a.keeper.cfg.Elsewhere(asking, a.rec())
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	unknown := said.Zone == "" && said.Unheard // then it stays as it was
	if zone := (wrongZone{said.Zone, said.ZoneSink}); a.zone != zone && !unknown {
		a.zone = zone
		a.changes()
	}
	return said
}

// askAhead asks before the shared file is locked: the programs that share it
// wait for nobody's destinations.
func (a *round) askAhead(ctx context.Context) {
	a.ahead = nil
	if a.keeper.cfg.Elsewhere != nil && a.share != nil && a.stored() && !unfinished(a.state()) {
		a.ahead = &inquiry{a.rec().Version, finder{a.leased}.inquire(ctx)}
	}
}

// consult asks the account's destinations what they hold, or goes by what they
// have said ahead (nil: nothing), and takes what is newer than the record. doubt is why the
// record's token should wait.
func (a finder) consult(ctx context.Context, ahead *inquiry) (taken bool, doubt string, err error) {
	if a.keeper.cfg.Elsewhere == nil || !a.stored() {
		return false, "", nil
	}
	var there Elsewhere
	if ahead != nil && ahead.version == a.rec().Version {
		there = ahead.said
	} else {
		there = a.inquire(ctx)
	}
	if there.Newer == nil {
		return false, there.Doubt, nil
	}
	err = a.takeFound(ctx, *there.Newer, there.Origin, there.Where)
	if err == nil {
		a.lookWhenIdle(toLook)
	}
	return true, "", err
}

// waitInDoubt keeps the refresh token while it and the access token live, as far as
// there is a doubt; afterwards our record is all that there is. A person does not
// overrule it by a refresh, but says what is to become of what stands there.
func (a *round) waitInDoubt(doubt string) error {
	now := a.keeper.clock.Now()
	last := a.dies(now.Wall).Add(-lastMoment) // at once, where nobody knows it
	told := a.desk().doubt == doubt
	a.desk().doubt = doubt
	if doubt == "" || a.mintsNow() { // whose key is spent on nothing
		return nil
	}
	if !now.Wall.Before(last) {
		a.Log().Warn("our own refresh token is used, because it or the access token is about to end: " + doubt)
		return nil
	}
	next := now.Wall.Add(doubtAgain)
	if next.After(last) {
		next = last
	}
	a.keeper.mu.Lock()
	a.plan.dueAt(next, now)
	a.plan.pauseFor(promise.Doubt, doubt)
	a.keeper.mu.Unlock()
	message := "nothing is refreshed before " + last.UTC().Format(time.RFC3339) + ": " + doubt
	if !told {
		a.Publish(slog.LevelWarn, event.Event{Type: event.RefreshPutOff, Expiry: a.rec().Token.Expiry(), Next: next, Message: message})
	}
	return fmt.Errorf("account %s: %s", a.cfg.Name, message)
}

// foundAfterRefusal looks once more for a living token, now that the record's
// is known to be dead.
func (a finder) foundAfterRefusal(ctx context.Context, attempt string) (bool, error) {
	found, _, err := a.consult(ctx, nil)
	if err == nil && found {
		a.Trouble(slog.LevelWarn, event.Event{
			Type: event.RivalRefresher, Attempt: attempt,
			Message: "the server refused our refresh token, and a destination held another one: another program has refreshed " +
				"this grant, or a login has replaced it. Its token is used; if such a program still runs, stop it or give the account a shared_file",
		})
	}
	return found, err
}

// goBack returns to the newest token that the refused one had taken the place
// of, if that may live. Those before it are kept for when it does not.
func (a finder) goBack(ctx context.Context, refused store.Record) error {
	chain := refused.Unproven(refused.Token)
	b, now := chain[0], a.keeper.clock.Now().Wall
	rec := refused.Next(b.Token, store.OriginExternal, "", now)
	a.trim(&rec)
	from := a.broughtBy(refused)
	rec.LoginAt, rec.LoginUncertain, rec.RefreshExpiry, rec.Before = b.LoginAt, b.LoginUncertain, b.RefreshExpiry, chain[1:]
	rec.GrantedTo, rec.FoundIn = b.GrantedTo, cmp.Or(b.FoundIn, theBroker)
	if err := a.replaceGrant(ctx, &rec); err != nil {
		return a.diskTrouble(fmt.Errorf("go back to the token before the one that was refused: %w", err))
	}
	a.renewed(rec)
	a.lookWhenIdle(toLook)
	a.Publish(slog.LevelDebug, event.Event{
		Type: event.Adopted, Version: rec.Version, Expiry: rec.Token.Expiry(),
		Message: "the refresh token before the one that was refused is tried",
	})
	a.Trouble(slog.LevelWarn, event.Event{
		Type: event.FoundRefused, Version: rec.Version, Expiry: rec.Token.Expiry(),
		Message: fmt.Sprintf("the broker refused the refresh token that came from %s, and the one before it is tried. Look who wrote that token; "+
			"if it should have been this account's newest, %s", from, a.say.instead().With("")),
	})
	return nil
}
