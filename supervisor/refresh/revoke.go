package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file has a broker end the login of an account, by a person's word. Before anybody
// is asked it is noted that he is; only his word that it is done makes the token a dead
// one, and only his word that it is not lets everything be as it was.

var (
	// ErrNotRevoked: nothing was asked of the broker, or it has revoked nothing.
	ErrNotRevoked = errors.New("nothing was revoked")
	// ErrRevokeUnknown: the broker was asked, and nobody knows what it did.
	ErrRevokeUnknown = errors.New("nobody knows whether its login is revoked")
)

// revokeTimeout bounds a revocation beside what its provider allows.
const revokeTimeout = 30 * time.Second

// Revoked is what has come of a word that revokes the login of an account.
type Revoked struct {
	// Record is the account's from now on: its Health says when the broker said so.
	Record store.Record
	// Took is how long the broker took to say so.
	Took time.Duration
	// Ends is what the broker has ended by that.
	Ends sdk.RevokeScope
	// SharedFile is the account's shared file, "" if it has none. Left is why the dead
	// refresh token stands there still; nil: it does not.
	SharedFile string
	Left       error
}

// Revoke has the account's broker end its login, once whoever is at work on the account
// has ended that: an attempt that was sent is heard out. From then on only a person's
// token brings it a next one; what consumers hold stays with them. After [ErrNotRevoked]
// everything is as it was, also over a restart. After [ErrRevokeUnknown] the next attempt
// finds out how it is. Where a broker ends every login of the client with it, a person must
// have agreed to that.
func (p persons) Revoke(ctx context.Context, name string, agreed sdk.RevokeScope, by event.Caller) (got Revoked, err error) {
	a, err := p.accounts.claim(ctx, name)
	if err != nil {
		return got, err
	}
	defer a.release()
	if ctx.Err() != nil { // whoever has asked is gone, and would not hear what came of it
		return got, fmt.Errorf("account %s: %w: %w", name, ErrNotRevoked, ctx.Err())
	}
	ctx = context.WithoutCancel(ctx)
	ran := false
	err = sharer{a}.withShared(ctx, toRevoke, func() (err error) {
		ran = true
		got, err = p.revoke(ctx, a, agreed, by)
		return err
	})
	if err != nil && !ran {
		err = a.say.notRevoked(err)
	}
	return got, err
}

// Revocable is the account's record, what revoking its login would end ("": that is not
// known yet), and why it can't be revoked as it stands, as far as that is known without
// asking anybody; nil: it may be.
func (p persons) Revocable(name string) (store.Record, sdk.RevokeScope, error) {
	a, ok := p.accounts[name]
	if !ok {
		return store.Record{}, "", fmt.Errorf("%w: %s", ErrUnknownAccount, name)
	}
	p.loop.lock.Lock()
	defer p.loop.lock.Unlock()
	return a.rec(), p.known.nature().revokes, irrevocable(a)
}

// irrevocable is why the login of the account can't be revoked as it stands; nil: it may
// be. One with an attempt under way is taken for what it is afterwards. The caller holds
// k.mu.
func irrevocable(a *account) error {
	rec, n := a.rec(), a.keeper.nature()
	_, unproven := a.state().Standing.(acct.Unproven)
	_, open := a.state().Stage.(acct.Open)
	not := func(format string, args ...any) error { return a.say.notRevoked(fmt.Errorf(format, args...)) }
	switch {
	case n.met && n.revokes == "":
		return a.say.errNoRevoker()
	case !a.stored():
		return fmt.Errorf("account %s: %w, and so there is nothing to revoke", a.cfg.Name, ErrNoToken)
	case !rec.Health.Revoked.IsZero():
		return not("its login was revoked %s already", moment.Stamp(rec.Health.Revoked))
	case rec.Key != "":
		return not("the next token would be minted from the key in the configuration at once. Take the key out of it and withdraw that at the broker")
	case rec.Refused():
		return not("the broker has refused its token already, and so its login is over")
	case a.keeper.cfg.Observes:
		return not("this supervisor only observes; start it without --observe")
	case !a.state().IsFree() && !open:
		return not("nobody knows whether an earlier attempt has used up its token, and of a token that is used up a broker says that it is revoked. "+
			"Wait for the outcome (tokenkeeper status shows it)%s, and revoke then", a.say.orLogin())
	case unproven:
		return not("its token was found in %s, and the broker has not seen it yet: it may be another login's. "+
			"Have it proved first: tokenkeeper refresh %s --force", cmp.Or(rec.FoundIn, "another place"), a.cfg.Name)
	}
	if why := a.withheld(); why != "" {
		return not("%w: %s", ErrWithheld, why)
	}
	return nil
}

// revoke takes what is newer in the account's shared file, which is locked, and revokes the
// login of the newest token.
func (p persons) revoke(ctx context.Context, a *leased, agreed sdk.RevokeScope, by event.Caller) (Revoked, error) {
	if _, err := (sharer{a}).adopt(ctx); errors.Is(err, sharing.ErrUnseen) {
		return Revoked{}, a.say.notRevoked(fmt.Errorf("%w. It may hold a newer token than ours, whose login would live on. See to it that it can be read, and revoke then", err))
	} else if err != nil { // ours may be used up
		return Revoked{}, a.say.notRevoked(err)
	}
	may := func() error {
		a.keeper.mu.Lock()
		defer a.keeper.mu.Unlock()
		return irrevocable(a.account)
	}
	if err := may(); err != nil {
		return Revoked{}, err
	}
	if err := a.steered(time.Now()); err != nil {
		return Revoked{}, a.say.notRevoked(err)
	}
	_, remote, err := p.forLogin(ctx, a.cfg.Name)
	if err != nil {
		return Revoked{}, a.say.notRevoked(err)
	}
	defer p.loop.countOut()
	if err := may(); err != nil { // its provider may be known only now
		return Revoked{}, err
	}
	revoking(a, true)
	defer revoking(a, false)
	ends := p.known.nature().revokes
	if ends == sdk.RevokesClient && agreed != ends {
		return Revoked{}, a.say.notRevoked(errWholeClient)
	}
	return revocation{
		ends: ends, share: a.share, file: a.cfg.SharedPath,
		Voice: a.Voice, keeper: a.keeper, say: a.say, by: by, remote: remote, as: presented{a.account}.now(),
		then: ". " + sentence(a.say.anew().With("again")),
		next: foundOut(a.rec()) + "to ask once more: tokenkeeper revoke " + a.cfg.Name + brokersPage,
		told: func(e acct.Event) {
			a.keeper.mu.Lock()
			defer a.keeper.mu.Unlock()
			if a.step(e) == acct.Plan {
				a.replan()
			}
		},
	}.ask(ctx, a.rec())
}

// revoking notes whether the account's broker is being asked.
func revoking(a *leased, is bool) {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	a.revoking = is
}

// revocation is a login that a person wants to be over.
type revocation struct {
	event.Voice
	keeper *Keeper
	say    words
	by     event.Caller
	remote *sdk.Remote
	// as is the account as its broker knows it, and told hears what is durable.
	as   sdk.Account
	told func(acct.Event)
	ends sdk.RevokeScope
	// share, at file, is what other programs use the login by; nil: none do.
	share *sharing.Share
	file  string
	// For people: then is what to do once it is over, and next what follows where nobody
	// knows the outcome.
	then, next string
}

// ask has the broker asked to end the login of before, once it is noted that it is.
func (v revocation) ask(ctx context.Context, before store.Record) (Revoked, error) {
	asked := before
	asked.Health.RevokeAsked = v.keeper.clock.Now().Wall
	if err := v.note(ctx, asked); err != nil {
		return Revoked{}, v.say.notRevoked(fmt.Errorf("it could not be noted that the broker is asked: %w", err))
	}
	call, cancel := context.WithTimeout(ctx, revokeTimeout)
	defer cancel()
	begun := time.Now()
	err := belief.Failure(v.remote.Revoke(call, sdk.RevokeRequest{Account: v.as, Token: before.Token}))
	switch {
	case err == nil:
		return v.over(ctx, asked, time.Since(begun))
	case !sdk.RevokedNothing(err):
		return Revoked{}, v.unknown(asked, err)
	}
	if fault := v.note(ctx, before); fault != nil {
		v.Log().Warn("it could not be noted that the broker has revoked nothing; so it stays noted that it was asked", "error", fault)
	}
	if errors.Is(err, sdk.ErrUnimplemented) {
		return Revoked{}, v.say.errNoRevoker()
	}
	return Revoked{}, v.say.notRevoked(err)
}

// note makes what the broker was asked durable, and then known.
func (v revocation) note(ctx context.Context, rec store.Record) error {
	if err := v.put(ctx, rec); err != nil {
		return err
	}
	v.told(acct.Corrected{Record: rec})
	return nil
}

func (v revocation) put(ctx context.Context, rec store.Record) error {
	s := v.keeper.cfg.Store
	return store.Made(s.Abandon(ctx, rec.Account, "", rec.Basis(), rec.Health), func() (bool, error) {
		got, err := s.Load(ctx, rec.Account)
		return got.Health.RevokeAsked.Equal(rec.Health.RevokeAsked) && got.Health.Revoked.Equal(rec.Health.Revoked), err
	})
}

// over is a login that the broker says it has ended: its token is dead.
func (v revocation) over(ctx context.Context, asked store.Record, took time.Duration) (Revoked, error) {
	rec, now := asked, v.keeper.clock.Now().Wall
	rec.Health = store.Health{
		RevokeAsked: asked.Health.RevokeAsked, Revoked: now, NeedsLogin: asked.Spends().Fingerprint(),
		LastError: fmt.Sprintf("its login was revoked by a person (user %d) at %s", v.by.UID, moment.Stamp(now)), LastFailure: now,
	}
	if err := v.put(ctx, rec); err != nil {
		return Revoked{}, fmt.Errorf("account %s: the broker has revoked its login, and that could not be noted (%w): its token is dead all the same%s", rec.Account, err, v.then)
	}
	v.told(acct.Judged{Record: rec})
	v.Publish(slog.LevelWarn, event.Event{
		Type: event.Revoked, Version: rec.Version, Expiry: rec.Token.Expiry(),
		Message: rec.Health.LastError + ": nothing is refreshed any more, and sinks keep the access token that they have, " + keptUntil(v.ends) + v.then,
	})
	return Revoked{rec, took, v.ends, v.file, sharing.TakeOut(v.share, rec, rec.Token.RefreshToken)}, nil
}

// keptUntil says what becomes of the access token that consumers hold.
func keptUntil(ends sdk.RevokeScope) string {
	switch ends {
	case sdk.RevokesToken:
		return "which lives to its end"
	case sdk.RevokesClient:
		return "which may be dead; the broker has ended every other login of the same client, too"
	}
	return "which may be dead"
}

// errWholeClient is told to who has not agreed to what a revocation ends.
var errWholeClient = errors.New("with it the broker ends every login of the same client, those of other accounts, too, and nobody has agreed to that: " +
	"tokenkeeper revoke names them, and asks; whoever asks the control API agrees by ?ends=client")

// unknown is a login of which nobody knows whether it is over. Its token counts neither as
// dead nor as living.
func (v revocation) unknown(rec store.Record, cause error) error {
	text := fmt.Sprintf("%v: a revocation was sent %s, and its outcome is unknown: %s. Its token counts neither as dead nor as living, and %s",
		ErrRevokeUnknown, moment.Stamp(rec.Health.RevokeAsked), v.say.bare(cause.Error()), v.next)
	v.Publish(slog.LevelWarn, event.Event{Type: event.RevokeUnknown, Version: rec.Version, Expiry: rec.Token.Expiry(), Message: text})
	return advice.Worded("account "+rec.Account+": "+text, fmt.Errorf("%w: %w", ErrRevokeUnknown, cause))
}

// brokersPage is where else a person sees whether a login is over.
const brokersPage = ", or look in the broker's account page"

// foundOut says what tells by itself whether the login of rec is over, if anything does.
func foundOut(rec store.Record) string {
	if rec.Way == store.WayLogin {
		return "nothing is sent with it that would find out; "
	}
	return "the next refresh finds out. To find out now: tokenkeeper refresh " + rec.Account + " --force; "
}

// RevokeLeft is [persons.Revoke] of a record whose account is in no configuration, by the
// client of the account as. again is how a person asks once more.
func (p persons) RevokeLeft(ctx context.Context, rec store.Record, as, again string, by event.Caller) (Revoked, error) {
	say := words{rec.Account, p.provider, p.known}
	a, remote, err := p.forLogin(ctx, as)
	if err != nil {
		return Revoked{}, say.notRevoked(err)
	}
	defer p.loop.countOut()
	p.loop.lock.Lock()
	hold, elsewhere := a.keeper.withhold, a.outlook().forbids(rec)
	p.loop.lock.Unlock()
	n := p.known.nature()
	switch err := a.steered(time.Now()); {
	case n.met && n.revokes == "":
		return Revoked{}, say.errNoRevoker()
	case n.revokes == sdk.RevokesClient:
		return Revoked{}, say.notRevoked(fmt.Errorf("with it the broker ends every login of the client, that of account %s, too. Forget it without --revoke", as))
	case hold.withholds(rec):
		return Revoked{}, say.notRevoked(fmt.Errorf("%w: %s", ErrWithheld, hold.Reason))
	case elsewhere != "":
		return Revoked{}, say.notRevoked(fmt.Errorf("%w: with account %s, whose client it is, it would go elsewhere: %s", ErrGrantedElsewhere, as, elsewhere))
	case err != nil:
		return Revoked{}, say.notRevoked(err)
	}
	v := revocation{
		Voice: event.NewVoice(p.provider, rec.Account, a.keeper.cfg.Events, a.keeper.facts, a.keeper.cfg.Log), keeper: a.keeper, say: say, by: by, remote: remote,
		as: presented{a}.now(), told: func(acct.Event) {}, next: "nobody uses it here. To ask once more: " + again + brokersPage,
	}
	v.as.Name = rec.Account
	return v.ask(context.WithoutCancel(ctx), rec)
}
