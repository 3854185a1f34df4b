package refresh

import (
	"strings"

	acct "github.com/tokenkeeper/tokenkeeper/supervisor/account"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Foreign reads d by what is known of the account's provider by now.
func (k *Keeper) Foreign(d format.Document) lineage.Foreign {
	k.mu.Lock()
	policy := k.policy
	k.mu.Unlock()
	return lineage.TokenOf(d, policy, k.clock.Now().Wall)
}

// foreignOrigin says whether the record's token came from a document.
func foreignOrigin(o store.Origin) bool {
	return o == store.OriginImport || o == store.OriginExternal || o == store.OriginRestore
}

// broughtBy says for people where a record's token comes from that no broker has
// given us; "": the broker did.
func (a *leased) broughtBy(rec store.Record) string {
	switch {
	case rec.Origin == store.OriginImport:
		return "an import of " + moment.Stamp(rec.StoredAt)
	case rec.Origin == store.OriginRestore:
		return "a sink that gave it back"
	case rec.Origin != store.OriginExternal:
		return ""
	case a.desk().foundIn != "" && a.desk().foundIn != theSharedFile:
		return a.desk().foundIn
	case a.cfg.SharedPath != "":
		return theSharedFile + " " + a.cfg.SharedPath
	}
	return "another program"
}

// theSharedFile is how people are told of it.
const theSharedFile = "the shared file"

// apply holds the record against the policy, which was not known when it came.
// The lock is held, and nobody is at work on the account.
func (k *Keeper) apply(a *leased) {
	a.wish.unmet = false
	if !a.stored() {
		return
	}
	rec := a.rec()
	k.bound(&rec)
	if rec.RefreshExpiry.IsZero() {
		rec.RefreshExpiry = refreshExpiry(rec, k.policy)
	}
	k.step(a, acct.Corrected{Record: rec})
}

// bound holds the times of a token that came from a document against the
// policy of its provider, which was not known then. The lock is held.
func (k *Keeper) bound(rec *store.Record) {
	if !foreignOrigin(rec.Origin) || rec.Token.Lifetime <= 0 {
		return
	}
	d := rec.Document()
	d.WrittenAt = rec.StoredAt
	f := lineage.TokenOf(d, k.policy, rec.StoredAt)
	if len(f.Doubts) == 0 {
		return
	}
	if rec.Token.RefreshLifetime > 0 { // it counts from another moment now
		rec.Token.RefreshLifetime += rec.Token.IssuedAt.Sub(f.Token.IssuedAt)
	}
	rec.Token.IssuedAt, rec.Token.Lifetime, rec.Token.Uncertain = f.Token.IssuedAt, f.Token.Lifetime, true
	k.cfg.Log.Warn("the token's expiry is not believed: "+strings.Join(f.Doubts, "; "),
		"provider", k.cfg.Provider, "account", rec.Account)
}
