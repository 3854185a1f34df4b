package refresh

import (
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	acct "github.com/tokenkeeper/tokenkeeper/supervisor/internal/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Foreign reads d by what is known of the account's provider by now.
func (k *Keeper) Foreign(d format.Document) lineage.Foreign {
	return lineage.TokenOf(d, k.Policy(), k.clock.Now().Wall)
}

// foreignOrigin says whether the record's token came from a document.
func foreignOrigin(o store.Origin) bool {
	return o == store.OriginImport || o == store.OriginExternal || o == store.OriginRestore
}

// broughtBy says for people where a record's token comes from that no broker has
// given us; "": the broker did.
func (a finder) broughtBy(rec store.Record) string {
	switch {
	case rec.Origin == store.OriginImport:
		return "an import of " + moment.Stamp(rec.StoredAt)
	case rec.Origin != store.OriginExternal && rec.Origin != store.OriginRestore, rec.FoundIn == theBroker:
		return ""
	case rec.FoundIn != "":
		return rec.FoundIn
	case rec.Origin == store.OriginRestore:
		return "a sink that gave it back"
	case a.cfg.SharedPath != "":
		return theSharedFile + " " + a.cfg.SharedPath
	}
	return "another program"
}

// theSharedFile is how people are told of it.
const theSharedFile = "the shared file"

// theBroker is where a token was found that the broker gave, and that was gone back
// to.
const theBroker = "the broker"

// unproven is what a version with the token found has to keep of the account's
// record, which it takes the place of.
func (a finder) unproven(found sdk.Token) []store.Before {
	rec := a.rec()
	rec.FoundIn = a.broughtBy(rec)
	return rec.Unproven(found)
}

// apply holds the record against the policy, which was not known when it came.
// The lock is held, and nobody is at work on the account.
func (a *leased) apply() {
	a.wish.unmet = false
	a.getsKey()
	if !a.stored() {
		return
	}
	rec := a.rec()
	n := a.keeper.nature()
	rec.Way = n.wayNow(rec)
	if doubts := bound(&rec, n.policy); len(doubts) > 0 {
		a.Log().Warn("the token's expiry is not believed: " + strings.Join(doubts, "; "))
	}
	correctEnds(&rec, n.policy)
	a.step(acct.Corrected{Record: rec})
}

// bound holds the times of a token that came from a document against the
// policy of its provider, which was not known then, and says why it does not believe
// them; none: it does.
func bound(rec *store.Record, p sdk.Policy) (doubts []string) {
	if !foreignOrigin(rec.Origin) || rec.Token.Lifetime <= 0 {
		return nil
	}
	d := rec.Document()
	d.WrittenAt = rec.StoredAt
	f := lineage.TokenOf(d, p, rec.StoredAt)
	if len(f.Doubts) == 0 {
		return nil
	}
	rec.Token.RefreshLifetime = lifeFrom(rec.Token, f.Token.IssuedAt)
	rec.Token.IssuedAt, rec.Token.Lifetime, rec.Token.Uncertain = f.Token.IssuedAt, f.Token.Lifetime, true
	return f.Doubts
}
