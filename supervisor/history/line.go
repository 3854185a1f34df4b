// Package history keeps what has happened over restarts, in a ring of lines of JSON below
// the state directory: to be shown afterwards, and to explain why an account had no token.
// Nothing depends on it: what it can't write is lost to it, and holds up nobody.
package history

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// What the history tells of itself and of who writes it, beside the events of the bus.
const (
	// RunBegan and RunEnded are a supervisor's start and orderly stop: one that begins
	// after another that did not end was preceded by a kill, or by the machine's end.
	RunBegan event.Type = "run_began"
	RunEnded event.Type = "run_ended"
	// Configured names the accounts that there are from then on.
	Configured event.Type = "configured"
	// Stands is how an account stood when the run began, or when it came into its configuration.
	Stands event.Type = "stands"
	// Lost: some events could not be written.
	Lost event.Type = "history_lost"
)

// Line is one line of it. It never holds a secret.
type Line struct {
	event.Event
	// Accounts and Sinks of a line of type [Configured]; nil: they are too many to be named.
	Accounts []string `json:"accounts,omitzero"`
	Sinks    []string `json:"sinks,omitzero"`
	// Standing of a line of type [Stands] is the state of the account, StoredAt since when
	// it has its token, and RevokeAsked when the broker was asked to revoke its login, if
	// nobody knows what came of that.
	Standing    string    `json:"standing,omitempty"`
	StoredAt    time.Time `json:"stored_at,omitzero"`
	RevokeAsked time.Time `json:"revoke_asked,omitzero"`
	// Times is how many failures for the same reason it stands for, the first of them at First
	// and the last at its own time; 0: it is one.
	Times int       `json:"times,omitempty"`
	First time.Time `json:"first,omitzero"`
	// Again: it is repeated from a part of the ring that will be gone.
	Again bool `json:"again,omitempty"`
	// Aside: no supervisor was running when a person did it.
	Aside bool `json:"aside,omitempty"`
}

// Happened says whether it is something that happened when it was written.
func (l Line) Happened() bool {
	return !l.Again && l.Type != Stands && l.Type != Configured
}

// IsToken says whether the account has a token from then on that it did not have. That one
// came from a sink is told beside its import, without its version.
func (l Line) IsToken() bool {
	switch l.Type {
	case event.Refreshed, event.LoggedIn, event.Imported, event.Adopted, event.LoginTold, event.StoreRestored, Stands:
		return l.Account != "" && l.Version > 0
	}
	return false
}

// maxText of a message: some quote lists of accounts.
const maxText = 1000

// marshal is a line as it stands in the file, with its end.
func (l Line) marshal() ([]byte, error) {
	l.Time, l.RevokeAsked = l.Time.UTC().Truncate(time.Millisecond), l.RevokeAsked.UTC().Truncate(time.Millisecond)
	l.StoredAt, l.First = whole(l.StoredAt), whole(l.First)
	l.Expiry, l.Next = whole(l.Expiry), whole(l.Next)
	if len(l.Message) > maxText {
		l.Message = strings.ToValidUTF8(l.Message[:maxText], "") + "…"
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(l)
	return b.Bytes(), err
}

func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// lasting are those of the lines that have to be known to understand what follows them:
// the newest of each kind about each subject, but what an account's newer token has ended.
// They are gone through twice.
func lasting(lines iter.Seq[Line]) iter.Seq[Line] {
	type subject struct {
		is                      event.Type
		account, provider, sink string
	}
	const token, renamed event.Type = "token", "renamed"
	newest := map[subject]int{}
	of := func(l Line) subject {
		s := subject{l.Type, l.Account, l.Provider, l.Sink}
		if s.account != "" { // a provider may be known of some of its lines alone
			s.provider = ""
		}
		switch {
		case l.From != "":
			s.is, s.account = renamed, l.From
		case l.IsToken():
			s.is, s.sink = token, ""
		case l.Type == event.Resumed:
			s.is = event.Paused
		case l.Type == event.ProviderStarted:
			s.is = event.ProviderStopped
		case l.Type == event.Recovered && l.Over != "":
			s.is = l.Over
		}
		return s
	}
	n := 0
	for l := range lines {
		newest[of(l)] = n
		n++
	}
	return func(yield func(Line) bool) {
		n := -1
		for l := range lines {
			n++
			s := of(l)
			since, has := newest[subject{is: token, account: l.Account}]
			stays := s.is == token || s.is == event.Paused || s.is == renamed || s.is == event.Forgotten || l.Sink != ""
			if newest[s] != n || l.Type == Lost || l.Type == event.Audit || !stays && l.Account != "" && has && n <= since {
				continue
			}
			if l.Again = true; !yield(l) {
				return
			}
		}
	}
}
