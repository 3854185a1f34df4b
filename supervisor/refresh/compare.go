package refresh

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// inFile is how a shared file stands to the record.
type inFile int

const (
	fileSame    inFile = iota // what we have, or nothing to go by
	fileNewer                 // another program has refreshed or logged in
	fileOlder                 // a token that we have replaced
	fileUnknown               // a token that is neither known nor younger, or is another app's
)

// sameExpiry is how far two notes of one expiry may lie apart: formats round
// to seconds.
const sameExpiry = 2 * time.Second

// offByZone is by how much a local time without a zone may be read too early: by
// the hour that comes twice when summer time ends. Tokens of our own from so
// short a time ago are all known by their fingerprints, so one that is not is
// another program's, and newer; to use ours after it could end the grant.
const offByZone = time.Hour + sameExpiry

// ours is what a document is compared with.
type ours struct {
	rec    store.Record
	stored bool
	// spent: the record's refresh token is known to be used up: it was refused,
	// or nobody knows what became of an attempt with it.
	spent    bool
	clientID string
	policy   sdk.Policy
	now      time.Time
}

// compare is [ours.compare] for an account. The lock is held.
func (k *Keeper) compare(a *account, d format.Document) inFile {
	found := k.ours(a).compare(d)
	if found == fileNewer && k.ofAnother(a, d) {
		return fileUnknown
	}
	return found
}

// ofAnother says whether a document is another account's: by its own word, or
// because that account has, or had, its refresh token. The lock is held.
func (k *Keeper) ofAnother(a *account, d format.Document) bool {
	if d.Account != "" && d.Account != a.cfg.Name || d.Provider != "" && d.Provider != k.cfg.Provider {
		return true
	}
	theirs := d.RefreshToken.Fingerprint()
	for _, other := range k.accounts {
		if other == a || !other.stored {
			continue
		}
		if other.rec.Token.RefreshToken.Equal(d.RefreshToken) || other.cfg.Shared != nil && other.rec.Replaced(theirs) {
			return true
		}
	}
	return false
}

func (k *Keeper) ours(a *account) ours {
	return ours{
		rec: a.rec, stored: a.stored, spent: a.rec.NeedsLogin() || a.ambiguous != nil,
		clientID: a.cfg.ClientID, policy: k.policy, now: k.clock.Now().Wall,
	}
}

// compare decides by the refresh token first, because clocks and time zones of
// other programs may be off. Times only say which of two is younger where the
// tokens do not: its own (as far as they are possible) or the file's.
func (o ours) compare(d format.Document) inFile {
	theirs := d.RefreshToken.Fingerprint()
	mine := o.rec.Token.RefreshToken.Fingerprint()
	switch {
	case theirs == "":
		return fileSame
	case o.stored && theirs == mine:
		return o.compareKept(d)
	case o.stored && o.rec.Replaced(theirs):
		return fileOlder
	case d.ClientID != "" && o.clientID != "" && d.ClientID != o.clientID:
		return fileUnknown
	case !o.stored, o.younger(d):
		return fileNewer
	default:
		return fileUnknown
	}
}

// compareKept is compare for a broker that keeps its refresh tokens.
func (o ours) compareKept(d format.Document) inFile {
	later, known := o.later(d)
	switch {
	case d.AccessToken.Equal(o.rec.Token.AccessToken), o.rec.NeedsLogin():
		return fileSame // the broker has refused this very refresh token
	case known && later > sameExpiry, !known && o.youngerFile(d):
		return fileNewer
	default:
		return fileOlder
	}
}

// younger says whether an unknown token is younger than the record's. If its
// own time and the file's contradict each other, it is tried only if nothing is
// lost by that.
func (o ours) younger(d format.Document) bool {
	later, known := o.later(d)
	if known && later > -offByZone {
		return true
	}
	if o.stored && o.rec.NeedsLogin() && notAfter(d.WrittenAt, o.now).IsZero() {
		return true // ours is dead, and nothing says that this one is older
	}
	return o.youngerFile(d) && (!known || o.spent)
}

// later is by how much the document's access token outlives the record's;
// known is false if either end is not known.
func (o ours) later(d format.Document) (later time.Duration, known bool) {
	theirs := TokenOf(d, o.policy, o.now).Token.Expiry()
	if d.AccessToken.IsZero() { // what the file says of it is all that there is
		theirs = moment.Known(d.Expiry)
	}
	mine := o.rec.Token.Expiry()
	if theirs.IsZero() || mine.IsZero() {
		return 0, false
	}
	return theirs.Sub(mine), true
}

// youngerFile says whether the file was written after the record was stored.
func (o ours) youngerFile(d format.Document) bool {
	written := notAfter(d.WrittenAt, o.now)
	return !written.IsZero() && written.After(o.rec.StoredAt)
}

// judgeZone notes whether the local times in a file can be right. Of a token
// that we know the file tells nothing: it may have been written again after
// that had died. The lock is held.
func (k *Keeper) judgeZone(a *account, d format.Document, found inFile) {
	switch {
	case found == fileNewer, found == fileUnknown:
		a.zone = ZoneFault(d, k.policy, k.clock.Now().Wall)
	}
}

// question is what a person is asked about a shared file, as long as the record
// has that refresh token.
type question struct {
	text         string
	ours, theirs string // fingerprints
}

// question returns what is asked; "": nothing is. The lock is held.
func (a *account) question() string {
	if a.asked.ours != a.rec.Token.RefreshToken.Fingerprint() {
		return ""
	}
	return a.asked.text
}

var errAsked = errors.New("the shared file holds a refresh token that nobody here knows")

// askedAgain is how often an unknown token in a file is looked at.
const askedAgain = 30 * time.Second

// ask stops what would spend our refresh token, because another one stands in
// the shared file of which nobody knows where it comes from: one of them may
// have replaced the other, and to use the wrong one could end the grant.
func (k *Keeper) ask(a *account, d format.Document) error {
	k.mu.Lock()
	mine, theirs := a.rec.Token.RefreshToken.Fingerprint(), d.RefreshToken.Fingerprint()
	news := a.asked.text == "" || a.asked.ours != mine || a.asked.theirs != theirs
	if news {
		a.asked = question{text: k.ours(a).found(d), ours: mine, theirs: theirs}
	}
	q := a.asked
	now := k.clock.Now()
	next := now.Wall.Add(askedAgain)
	if !a.stored || !a.rec.NeedsLogin() {
		k.dueAt(a, next, now)
	}
	k.mu.Unlock()
	if news {
		k.publish(slog.LevelError, a, event.Event{
			Type: event.UnknownToken, Alert: true, Expiry: a.rec.Token.Expiry(), Next: next,
			Message: q.text + ". Nothing is refreshed until somebody decides: " + Ways(a.cfg.Name),
		})
	}
	return fmt.Errorf("account %s: %w: %s; %s", a.cfg.Name, errAsked, q.text, Ways(a.cfg.Name))
}

// Ways are the two ways out of a question about a shared file.
func Ways(account string) string {
	return fmt.Sprintf("to take the file's token: tokenkeeper import %s FILE --force; "+
		"to go on with ours and write it into the file: tokenkeeper refresh %s --force", account, account)
}

// found says for people what stands in the file.
func (o ours) found(d format.Document) string {
	if d.ClientID != "" && o.clientID != "" && d.ClientID != o.clientID {
		return fmt.Sprintf("the shared file holds a token of another app (its key begins with %.4s, the account's with %.4s)",
			d.ClientID, o.clientID)
	}
	parts := []string{"the shared file holds a refresh token that is none of this login's, as far as we know"}
	if later, known := o.later(d); known {
		parts = append(parts, fmt.Sprintf("its access token ends %s before ours", (-later).Round(time.Second)))
	}
	switch written := notAfter(d.WrittenAt, o.now); {
	case o.youngerFile(d):
		parts = append(parts, "the file was written after our token came, "+written.UTC().Format(time.RFC3339))
	case !written.IsZero():
		parts = append(parts, "the file was written before our token came, "+written.UTC().Format(time.RFC3339))
	}
	if fault := ZoneFault(d, o.policy, o.now); fault != "" {
		parts = append(parts, fault)
	}
	return strings.Join(parts, "; ")
}

// insisted says whether a person who waits wants our token to be used.
func (k *Keeper) insisted(a *account) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return a.insisted && a.stored
}
