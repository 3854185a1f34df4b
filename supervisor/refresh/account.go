package refresh

import (
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/account/lease"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// account is one account in memory. Anybody may see how it stands; only [leased]
// changes that. The rest is under the Keeper's lock.
type account struct {
	keeper *Keeper
	cfg    Account
	guard  lease.Account[desk]
	event.Voice
	say words
	// share is what it has to do with its shared file; nil: it has none.
	share *sharing.Share
	// look is a look at what others hold of it.
	look glance
	// zone is what is wrong with the local times that a sink's file holds.
	zone wrongZone
	wish wishes
	plan planned
	// steering is held by who pauses or resumes it, until that is durable.
	steering sync.Mutex
	// session is what the broker has said of the sessions of its tokens.
	session sessions
	// secrets are those of its client.
	secrets *clientSecrets
	// revoking: its broker is being asked to end its login.
	revoking bool
}

// desk is what the work on an account leaves for the next work on it.
type desk struct {
	// unfreed are attempts that are over and whose spool slots could not be
	// given back.
	unfreed []string
	// late is an attempt of an old grant that was answered, and whose answer could
	// not be kept yet; nil: none.
	late *spool.Entry
	// unreadable is the attempt to end a login whose answer waits in the spool, and
	// which this build of the provider can't read; "": none.
	unreadable string
	// told are the warnings about the token's times that a person has had.
	told map[string]bool
	// doubt is why its refresh token waits, as people were told last.
	doubt string
}

// newAccount is an account of which the store has that record, of version 0 if it
// has none.
func newAccount(k *Keeper, cfg Account, rec store.Record) (*account, error) {
	cfg.WholeGrant = cfg.WholeGrant || cfg.Shared != nil
	a := &account{keeper: k, cfg: cfg, say: words{cfg.Name, k.cfg.Provider, &k.acquaintance}, secrets: newClientSecrets(cfg), plan: planned{name: cfg.Name, agenda: &k.agenda, clock: k.clock}, Voice: event.NewVoice(k.cfg.Provider, cfg.Name, k.cfg.Events, k.facts, k.cfg.Log)}
	if cfg.Shared != nil {
		a.share = sharing.New(sharing.Account{
			Account: cfg.Account, Path: cfg.SharedPath, Answers: func() { k.Touch(cfg.Name) },
			Secret: a.secrets.of, Timeout: cfg.Timeout, Voice: a.Voice, Clock: k.clock,
		}, cfg.Shared)
	}
	var err error
	a.ifIdle(func(l *leased) { _, err = l.lease.Happened(acct.Reread{Record: rec}, k.looked.Wall) })
	return a, err
}

// try takes the lease; nil: somebody has it.
func (a *account) try() *leased {
	l, ok := a.guard.Try()
	if !ok {
		return nil
	}
	return &leased{account: a, lease: l}
}

func (a *account) state() acct.State { return a.guard.State() }
func (a *account) rec() store.Record { return a.state().Record() }
func (a *account) stored() bool      { return a.state().Stored() }

// outlook is what can be expected of it now. The caller holds k.mu.
func (a *account) outlook() outlook {
	return outlook{&a.cfg, a.say, a.keeper.nature(), a.state(), a.session.isGone(a.state()), a.keeper.clock.Now().Wall}
}

// next is the account's next record, with as much of the past as it keeps.
func (a *account) next(t sdk.Token, origin store.Origin, attempt string, now time.Time) store.Record {
	was := a.rec()
	rec := was.Next(t, origin, attempt, now)
	if origin != store.OriginMint && (origin != store.OriginLogin || t.RefreshToken.IsZero()) {
		keepEnd(&rec, was, a.keeper.Policy())
	}
	rec.Way = a.keeper.nature().wayAfter(was.Way)
	if now := a.keeper.nature().grantedTo(a.cfg.Account); origin != store.OriginRefresh || rec.GrantedTo.Client == "" {
		rec.GrantedTo = now
	} else {
		rec.GrantedTo = a.keeper.nature().known(rec.GrantedTo, now)
	}
	rec.GrantedTo.Person = personAfter(was, t, origin)
	a.trim(&rec)
	return rec
}

func (a *account) trim(rec *store.Record) {
	if !a.cfg.WholeGrant {
		rec.Past = nil
	}
}

// wishes are what waits beside an account's state, for whoever has its lease. They
// are under k.mu: anybody may wish, whether the account is at work or not.
type wishes struct {
	// missed: the account came due meanwhile. unmet: the provider's policy became
	// known then, and was not applied to its record yet. anew: something else on which
	// its plan rests has changed.
	missed, unmet, anew bool
	// refresh are those who wait for the outcome of one; insisted: whatever the
	// shared file holds.
	refresh  []asker
	insisted bool
	// newer is when the account was last refreshed because of a program, and not due;
	// zero: never.
	newer schedule.Instant
	// notBefore is what the account was postponed to; see Postpone.
	notBefore time.Time
	// idle wait for the lease. codes takes a code while an attempt is under way; nil:
	// none can be taken.
	idle  []chan struct{}
	codes chan<- *spending
}

// asker waits for the outcome of a refresh. content: another token will do that is
// newer than that version, whatever it came by.
type asker struct {
	outcome   chan error
	content   bool
	newerThan uint64
}

// asked says whether somebody waits for a refresh.
func (w *wishes) asked() bool { return len(w.refresh) > 0 }

// ask waits for a refresh.
func (w *wishes) ask(who asker, insisted bool) <-chan error {
	who.outcome = make(chan error, 1)
	w.refresh = append(w.refresh, who)
	w.insisted = w.insisted || insisted
	return who.outcome
}

// answered returns whoever has waited for the refresh that is over.
func (w *wishes) answered() []asker {
	waited := w.refresh
	w.refresh, w.insisted = nil, false
	return waited
}

// serve tells those who want no more than the version that the account has now.
func (w *wishes) serve(version uint64) {
	w.refresh = slices.DeleteFunc(w.refresh, func(who asker) bool {
		content := who.content && version > who.newerThan
		if content {
			who.outcome <- nil
		}
		return content
	})
}

// wrongZone is why the local times in a sink's file can't be right; the zero
// value: they can.
type wrongZone struct{ fault, sink string }

// glance is a look at what the shared file of an account, or a destination, holds: that
// may have changed. Planned is when the account was due before that, and to what is to be
// done with the file; "": whatever it needs.
type glance struct {
	wanted  bool
	planned time.Time
	to      deed
}

// sessions are what an account knows of those of its tokens.
type sessions struct {
	// gone is the version whose session is over; 0: none is known to be.
	gone uint64
	// hastened is when it had its turn earlier because a session was over.
	hastened time.Time
}

// isGone says whether the session of an account's newest token is over. The caller
// holds k.mu.
func (s sessions) isGone(of acct.State) bool { return of.Stored() && s.gone == of.Record().Version }
