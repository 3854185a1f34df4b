package refresh

import (
	"cmp"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// driftTolerated is how far the clocks may drift apart between two looks:
// more than a time daemon slews, less than matters to a token.
const driftTolerated = 2 * time.Second

// outlook is what can be expected of an account as it stands, at a moment: when its
// token is to be replaced and how, whether anything follows from it at all, and when
// that ends. It is a value, and changes nothing.
type outlook struct {
	cfg    *Account
	say    words
	nature nature
	state  acct.State
	// gone: the session of its newest token is over.
	gone bool
	now  time.Time
}

// at is the outlook at another moment.
func (o outlook) at(now time.Time) outlook {
	o.now = now
	return o
}

func (o outlook) rec() store.Record { return o.state.Record() }

// plan is what the account's token needs.
func (o outlook) plan() schedule.Plan {
	l := o.life()
	if l.Issued.After(o.now.Add(driftTolerated)) {
		// The clock has been set back since the token came, so nobody knows
		// how old it is.
		l.Lifetime = 0
	}
	return schedule.PlanOf(needsOf(o.cfg, o.nature), l, o.now, mathrand.Float64())
}

// planned is how long before the end of an access token of the account the next one is
// asked for, if not earlier; 0: none is.
func (o outlook) planned() time.Duration {
	life := o.rec().Token.Lifetime
	if life <= 0 || !o.nature.met || o.rec().Way == store.WayLogin || o.rec().NeedsLogin() || o.plan().Ended {
		return 0
	}
	return life - promise.Interval(o.policy(), life)
}

func (o outlook) life() schedule.Life {
	rec, p := o.rec(), o.nature.policy
	l := schedule.Life{Issued: rec.Token.IssuedAt, Lifetime: rec.Token.Lifetime, Asked: rec.Health.LastFailure}
	switch rec.Origin {
	case store.OriginImport, store.OriginRestore:
		l.Foreign, l.Usual = true, schedule.Farthest
	case store.OriginExternal:
		l.Foreign, l.Usual = true, p.AccessLifetime
	case store.OriginRefresh, store.OriginMint:
		if rec.StoredAt.After(l.Asked) {
			l.Asked = rec.StoredAt
		}
	}
	if o.nature.met { // otherwise nobody knows what the end of the refresh token means
		l.RefreshEnd, l.RefreshLife = rec.RefreshExpiry, refreshLife(rec, p)
		l.Sliding, l.Sure = endMoves(rec, p), endIsSure(rec, p)
	}
	return l
}

// needsOf is when tokens of an account are to be replaced at the latest.
func needsOf(cfg *Account, n nature) schedule.Policy {
	p := schedule.Policy{BeforeExpiry: cfg.BeforeExpiry, Every: cfg.Every, Jitter: cfg.Jitter}
	return p.By(n.policy.BeforeExpiry, n.policy.OldAccessDies)
}

// ended says whether the account's login is over, and only a person can help.
func (o outlook) ended() bool { return !o.rec().CanMint() && o.isOver() }

// isOver says whether the account's login is over: what it would send is known to
// be dead, and was not refused only because nobody sent it.
func (o outlook) isOver() bool {
	rec := o.rec()
	if rec.Way == store.WayLogin && o.gone {
		return true
	}
	return o.state.Stored() && o.state.Ambiguous() == nil && !rec.RefreshExpiry.IsZero() && !o.now.Before(rec.RefreshExpiry) &&
		(o.died() || o.plan().Ended)
}

// died says whether the access token of an account that has nothing else is dead, so
// that nothing renews it any more. Where that is a guess, only the broker knows, if
// it can be asked.
func (o outlook) died() bool {
	rec := o.rec()
	switch {
	case rec.Way == store.WayLogin && o.gone:
		return true
	case rec.Way == store.WayRefresh, rec.Way == store.WayMint, rec.RefreshExpiry.IsZero(), o.now.Before(rec.RefreshExpiry):
		return false
	}
	return rec.Way == store.WayLogin || endIsSure(rec, o.nature.policy)
}

// over says whether nothing follows from the account's token any more.
func (o outlook) over() bool {
	return o.state.Stored() && (o.gone || o.toAnother() != "" || o.isOver() && triedAfterEnd(o.rec()))
}

// triedAfterEnd says whether the broker was asked once more after the end of the
// account's login, if anything can be sent. That end is known by our clock alone, which
// may be days ahead, and at some brokers a mint ends the login that lives: so the
// broker's word is heard before one takes its place. One request that brings no token
// is enough, whatever else it brings. One that was not sent is none; after three tries
// that is enough, too, because the key may be taken where nothing else can be sent.
func triedAfterEnd(rec store.Record) bool {
	if acct.KindOf(rec.Way) == "" {
		return true
	}
	h := rec.Health
	return h.Failures > 0 && (h.LastKind != sdk.KindNotSent || h.Failures >= 3) && !h.LastFailure.Before(rec.RefreshExpiry)
}

// mintsAtOnce says whether the account is minted a token for now, and not by its plan:
// it has none, nothing follows from it any more, or the key before was refused. A session
// that is gone gives it its turn by [sessionsOf.hasten].
func (o outlook) mintsAtOnce() bool {
	rec := o.rec()
	switch {
	case !rec.CanMint():
		return false
	case rec.Way == store.WayMint:
		return rec.Health.KeyRefused != ""
	}
	return !o.state.Stored() || rec.Refused() || o.isOver() || o.toAnother() != ""
}

// terms are what the account's turn depends on.
func (o outlook) terms() acct.Terms {
	n := o.nature
	t := acct.Terms{
		Grace: n.grace(), Timeout: o.cfg.Timeout, Stays: n.met && !n.policy.Rotates,
		MintsBeside: n.repeat == sdk.RepeatHarmless, Over: o.over(),
	}
	if in := o.state.Ambiguous(); in != nil && in.ClientRefused != "" {
		t.SameSecrets = !n.clientFirst(*o.cfg) && in.ClientRefused == newClientSecrets(*o.cfg).list()
	}
	if o.rec().Way == store.WayRenew {
		t.Grace, t.Stays = 0, n.met && !n.policy.OldAccessDies
	}
	return t
}

// turn is what the account would send, by what is known of its broker.
func (o outlook) turn() acct.Turn { return o.state.At(o.terms(), o.now) }

// kind is the attempt that the account makes next.
func (o outlook) kind() string { return o.turn().Kind() }

// grantedElsewhere is why the refresh token of the account's record must not be
// sent as the account is configured now, with what to do; "": it may.
func (o outlook) grantedElsewhere() string {
	if o.kind() == spool.KindMint && o.rec().CanMint() { // from what is configured now
		return ""
	}
	return o.toAnother()
}

// toAnother is grantedElsewhere whatever follows from that.
func (o outlook) toAnother() string { return o.forbids(o.rec()) }

// forbids is why the refresh token of a record must not be sent for the account.
func (o outlook) forbids(rec store.Record) string {
	if rec.Way == store.WayMint { // nothing of it is sent
		return ""
	}
	then, now := rec.GrantedTo, o.nature.grantedTo(o.cfg.Account)
	environment := func(g store.GrantedTo) string { return cmp.Or(g.Environment, o.nature.usual) }
	was, is := "", ""
	switch {
	case rec.Provider != "" && rec.Provider != o.say.provider:
		was, is = "by provider "+rec.Provider, "provider "+o.say.provider
	case then.Client == "" || now.Client == "": // nobody knows
		return ""
	case then.Client != now.Client:
		was, is = "to another client_id", "this one"
	case o.nature.met && environment(then) != environment(now):
		was, is = "in environment "+environment(then), environment(now)
	default:
		if was, is = o.nature.otherServer(then, now); was == "" {
			return ""
		}
		was = "by " + was
	}
	return fmt.Sprintf("its refresh token was granted %s, and the configuration names %s: the broker might end the login if it were "+
		"sent. Put the configuration back as it was, or: %s", was, is, o.say.instead().Command())
}

// KeyRefused says whether the broker refuses the key of the record's account, and
// nothing else can be sent for it.
func KeyRefused(rec store.Record) bool { return rec.Key != "" && rec.NeedsLogin() }
