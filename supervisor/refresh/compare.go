package refresh

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

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
		Record: a.rec(), Open: a.state().Ambiguous() != nil, Policy: a.keeper.policy,
		Owner: func(fingerprint string) string { return a.keeper.owner(a.cfg.Name, fingerprint) },
	}
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

// Policy is what is known of the provider's tokens.
func (k *Keeper) Policy() sdk.Policy {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.policy
}

// way is how a new token of an account is followed by the next one; as long as the
// provider is not known, as the one before.
func (k *Keeper) way(before store.Way) store.Way {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.met {
		return before
	}
	return k.ways
}

// Way is how accounts of the provider get their next token; ok is false as long as
// it is not known.
func (k *Keeper) Way() (w store.Way, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ways, k.met
}

// WayOf is what a provider says of it.
func WayOf(d sdk.Description) store.Way {
	switch {
	case !d.NoRefresh:
		return store.WayRefresh
	case d.Renewer:
		return store.WayRenew
	case d.Minter:
		return store.WayMint
	}
	return store.WayLogin
}

// judgeZone notes whether the local times in a file can be right. Of a token
// that we know the file tells nothing: it may have been written again after
// that had died. The lock is held.
func (a *account) judgeZone(d format.Document, v lineage.Verdict) {
	if v != lineage.Silent && v != lineage.OtherAccount && (!v.Known() || v == lineage.Renewed) {
		if a.file.zone = lineage.ZoneFault(d, a.keeper.policy, a.keeper.clock.Now().Wall); a.file.zone != "" {
			a.changes()
		}
	}
}

// question is what a person is asked about a shared file, as long as the record
// has that refresh token.
type question struct {
	text, ways   string
	ours, theirs string // fingerprints
}

// question is what is asked; its text is "" if nothing is. The lock is held.
func (a *account) question() question {
	if a.file.asked.ours != a.rec().Token.RefreshToken.Fingerprint() {
		return question{}
	}
	return a.file.asked
}

var errAsked = errors.New("somebody has to decide about its shared file")

// askedAgain is how often an unknown token in a file is looked at.
const askedAgain = 30 * time.Second

// ask stops what would spend our refresh token, because another one stands in
// the shared file of which nobody knows where it comes from: one of them may
// have replaced the other, and to use the wrong one could end the grant.
func (a *leased) ask(d format.Document, o lineage.Ours, j lineage.Judgement) error {
	a.keeper.mu.Lock()
	mine, theirs := a.rec().Token.RefreshToken.Fingerprint(), d.RefreshToken.Fingerprint()
	news := a.file.asked.text == "" || a.file.asked.ours != mine || a.file.asked.theirs != theirs
	now := a.keeper.clock.Now()
	if news {
		text := o.Words("the shared file", lineage.Found{Document: d}, j, now.Wall)
		a.changes()
		a.file.asked = question{text: text, ways: ways(o, j.Verdict, a.anew()), ours: mine, theirs: theirs}
	}
	q := a.file.asked
	next := now.Wall.Add(askedAgain)
	if !a.stored() || !a.rec().NeedsLogin() {
		a.dueAt(next, now)
	}
	a.keeper.mu.Unlock()
	if news {
		a.publish(slog.LevelError, event.Event{
			Type: event.UnknownToken, Expiry: a.rec().Token.Expiry(), Next: next,
			Message: q.text + ". Nothing is refreshed until somebody decides: " + q.ways,
		})
	}
	return fmt.Errorf("account %s: %w: %s; %s", a.cfg.Name, errAsked, q.text, q.ways)
}

// ways are the ways out of a question about a shared file; by is how the account gets
// a token without it.
func ways(o lineage.Ours, v lineage.Verdict, by advice.Token) string {
	over := fmt.Sprintf("to go on with ours and write it into the file: tokenkeeper refresh %s --force", o.Account)
	switch {
	case v == lineage.OtherAccount && o.Record.Version == 0:
		return "put this account's own file there, or " + by.With("")
	case v == lineage.OtherAccount:
		return "put this account's own file there, or " + over
	}
	return fmt.Sprintf("to take the file's token: tokenkeeper import %s FILE --force; %s", o.Account, over)
}

// insisted says whether a person who waits wants our token to be used.
func (a *account) insisted() bool {
	a.keeper.mu.Lock()
	defer a.keeper.mu.Unlock()
	return a.wish.insisted && a.stored()
}
