package refresh

import (
	"errors"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
)

// errAsked: a person has to decide about the account's shared file.
var errAsked = errors.New("somebody has to decide about its shared file")

// compare says how a document stands to the account's record.
func (a *account) compare(d format.Document) (lineage.Ours, lineage.Judgement) {
	a.keeper.mu.Lock()
	o := a.ours()
	now := a.keeper.clock.Now().Wall
	a.keeper.mu.Unlock()
	return o, o.Judge(lineage.Found{Document: d}, now)
}

// ours is what a document is compared with. The lock is held.
func (a *account) ours() lineage.Ours {
	return lineage.Ours{
		Account: a.cfg.Name, Provider: a.keeper.cfg.Provider, ClientID: a.cfg.ClientID,
		Record: a.rec(), Open: a.state().Ambiguous() != nil, Policy: a.keeper.Policy(),
		Owner: func(fingerprint string) string { return a.keeper.owner(a.cfg.Name, fingerprint) },
		Left:  a.keeper.Left,
	}
}

// left is [Config.Left].
type left func(fingerprint string) string

// Left is the name of an account of the provider in no configuration that has, or had, the
// refresh token with that fingerprint, or has sent it; "": nobody knows of one.
func (l left) Left(fingerprint string) string {
	if l == nil {
		return ""
	}
	return l(fingerprint)
}

// owner is the name of another account that has, or had, a refresh token; "":
// none has. The lock is not held.
func (k *Keeper) owner(account, fingerprint string) string {
	if name := k.Knows(account, fingerprint); name != "" || k.cfg.Others == nil {
		return name
	}
	return k.cfg.Others(account, fingerprint)
}

// Knows is the name of an account here, other than that one, that has or had the
// refresh token with that fingerprint; "": none has.
func (k *Keeper) Knows(except, fingerprint string) string {
	for _, a := range k.order {
		rec := a.rec()
		if a.cfg.Name != except && rec.Version > 0 && (rec.Token.RefreshToken.Fingerprint() == fingerprint || rec.Replaced(fingerprint)) {
			return a.cfg.Name
		}
	}
	return ""
}

// insisted says whether a person who waits wants our token to be used.
func (a *account) insisted() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return a.wish.insisted && a.stored()
}
