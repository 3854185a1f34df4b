package refresh

import (
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
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

// apply holds the record against the policy, which was not known when it came.
// The lock is held, and nobody is at work on the account.
func (k *Keeper) apply(a *account) {
	a.unmet = false
	k.bound(a)
	if a.stored && a.rec.RefreshExpiry.IsZero() {
		a.rec.RefreshExpiry = refreshExpiry(a.rec, k.policy)
	}
}

// bound holds the times of a token that came from a document against the
// policy of its provider, which was not known then. The lock is held.
func (k *Keeper) bound(a *account) {
	rec := &a.rec
	if !a.stored || !foreignOrigin(rec.Origin) || rec.Token.Lifetime <= 0 {
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
		"provider", k.cfg.Provider, "account", a.cfg.Name)
}
