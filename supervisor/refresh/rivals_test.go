package refresh_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// move is something that happens to a shared file, or to the supervisor, in a
// world of bots that keep to the rules or don't.
type move struct {
	what string
	n    int // which of many; how long
}

var moves = []string{
	"time passes", "time passes", "the file is looked at", "a notice comes",
	"a bot refreshes under the lock", "a bot refreshes without the lock", "a bot refreshes while we do",
	"a bot refreshes and writes later", "the bot writes at last", "a bot with a wrong clock refreshes",
	"an old token is written", "an old token is written with a later expiry", "a token of another login is written", "garbage is written", "the file is removed",
	"the file can't be read", "a person asks for a refresh", "a person decides", "the supervisor starts anew",
}

// rivals is a world in which moves are made.
type rivals struct {
	*sharedRig
	blind *atomic.Bool
	g     *generation
	// past are the tokens that worked once, or still do.
	past []sdk.Token
	// unwritten is what a bot got and has not written yet.
	unwritten *sdk.Token
	// had: the record has held the token that works now.
	had string
	// What the last check saw.
	version    uint64
	refusals   int
	needsLogin bool
}

func (w *rivals) rotated(t sdk.Token) sdk.Token {
	w.past = append(w.past, t)
	return t
}

// botCould says whether the file holds the token that works: a bot knows none
// but that.
func (w *rivals) botCould() bool {
	d, err := w.bot.Read()
	return err == nil && w.broker.holds("one", d.RefreshToken)
}

func (w *rivals) make(m move) error {
	switch m.what {
	case "time passes":
		for range 1 + m.n%40 {
			time.Sleep(time.Minute)
			if err := w.check(); err != nil {
				return err
			}
		}
	case "the file is looked at", "a notice comes":
		if m.what == "a notice comes" {
			w.keeper.Touch("one")
		} else {
			w.keeper.Look()
		}
		time.Sleep(time.Second) // one that is under way reads a file with nothing in it again
		synctest.Wait()
		rec := w.record("one")
		d, err := w.bot.Read()
		if err == nil && !w.blind.Load() && w.broker.holds("one", rec.Token.RefreshToken) &&
			slices.Contains(rec.Fingerprints, d.RefreshToken.Fingerprint()) && !w.botCould() {
			return errors.New("an old token is left in the file")
		}
	case "a bot refreshes under the lock", "a bot refreshes without the lock":
		if w.botCould() {
			w.rotated(w.botRefreshes(m.what == "a bot refreshes under the lock"))
		}
	case "a bot refreshes while we do":
		// The notice of it may come before or after the answer to ours.
		w.broker.next("one", fault{before: func() {
			if w.botCould() {
				w.rotated(w.botRefreshes(false))
			}
		}})
	case "a bot refreshes and writes later":
		if w.unwritten == nil && w.botCould() {
			t := w.rotated(w.broker.grant("one"))
			w.unwritten = &t
		}
	case "the bot writes at last":
		if w.unwritten != nil {
			w.botWrites(*w.unwritten, false)
			w.unwritten = nil
		}
	case "a bot with a wrong clock refreshes":
		if w.botCould() {
			t := w.rotated(w.broker.grant("one"))
			t.IssuedAt = t.IssuedAt.Add(time.Duration(m.n%7-3) * time.Hour)
			w.botWrites(t, true)
		}
	case "an old token is written", "an old token is written with a later expiry":
		// Only such as we know: of two that we do not, nobody could tell.
		known := w.record("one").Fingerprints
		for range w.past {
			t := w.past[m.n%len(w.past)]
			m.n++
			for _, fingerprint := range known {
				if fingerprint != t.RefreshToken.Fingerprint() {
					continue
				}
				if m.what != "an old token is written" {
					t.IssuedAt = time.Now().Add(time.Hour)
				}
				w.botWrites(t, false)
				return nil
			}
		}
	case "a token of another login is written": // as from a backup
		w.botWrites(sdk.Token{
			AccessToken: sdk.NewSecret("ancient"), RefreshToken: sdk.NewSecret("ancient"), IssuedAt: time.Now().Add(-4 * time.Hour), Lifetime: 20 * time.Minute,
		}, false)
	case "garbage is written":
		content := []string{"", "{", "null", `{"refresh_token": ""}`, `{"access_token": "half`, "\x00\x00\x00"}
		return os.WriteFile(w.path, []byte(content[m.n%len(content)]), 0o600)
	case "the file is removed":
		if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	case "the file can't be read":
		w.blind.Store(!w.blind.Load())
	case "a person asks for a refresh":
		if s := w.status("one"); s.State != refresh.NeedsLogin && s.Asked == "" {
			_, _ = w.keeper.Refresh(w.t.Context(), "one", true)
		}
	case "a person decides":
		return w.decide()
	case "the supervisor starts anew":
		_ = w.g.end()
		w.restart()
		w.g = w.start()
	}
	return nil
}

// decide does what an alert about an unknown token in the file says: a person
// takes the one that works.
func (w *rivals) decide() error {
	if w.status("one").Asked == "" {
		return nil
	}
	if !w.botCould() {
		// Ours, unless a bot has spent it and not written its successor yet:
		// whoever insists on that one sends it twice.
		if w.broker.holds("one", w.record("one").Token.RefreshToken) {
			_, _ = w.keeper.Refresh(w.t.Context(), "one", true)
		}
		return nil
	}
	d, err := w.bot.Read()
	if err != nil {
		return err
	}
	_, err = w.keeper.Import(w.t.Context(), store.Record{Account: "one", Token: w.keeper.Foreign(d).Token}, true)
	return err
}

// check says what is wrong when everything is at rest.
func (w *rivals) check() error {
	synctest.Wait()
	rec := w.record("one")
	holds := w.broker.holds("one", rec.Token.RefreshToken)
	if holds && w.had != rec.Token.RefreshToken.Reveal() {
		w.had = rec.Token.RefreshToken.Reveal()
		w.past = append(w.past, rec.Token)
	}
	needsLogin := w.status("one").State == refresh.NeedsLogin
	defer func() { w.version, w.refusals, w.needsLogin = rec.Version, w.broker.refusals(), needsLogin }()
	switch {
	case rec.Version < w.version:
		return fmt.Errorf("version %d after %d", rec.Version, w.version)
	case w.had != "" && !holds && w.broker.holds("one", sdk.NewSecret(w.had)):
		return errors.New("the token that works has been given up")
	case needsLogin && holds:
		return errors.New("a login is asked for, and the token works")
	case needsLogin && !w.needsLogin && !w.blind.Load() && w.botCould():
		return errors.New("a login is asked for, and the file holds a token that works")
	case w.blind.Load() && w.broker.refusals() > w.refusals && time.Now().Before(rec.Token.Expiry()):
		return errors.New("a token was sent although nobody knew whether it is spent")
	case len(w.broker.sentTwice()) > 0:
		return fmt.Errorf("sent twice: %v", w.broker.sentTwice())
	}
	return nil
}

// end checks that a world in which everybody keeps to the rules again comes to
// one newest token, in the record and in the file.
func (w *rivals) end() error {
	w.blind.Store(false)
	if err := w.make(move{what: "the bot writes at last"}); err != nil {
		return err
	}
	if !w.broker.holds("one", w.record("one").Token.RefreshToken) && !w.botCould() {
		return nil // some bot has lost it
	}
	for range 30 { // a bot's wrong clock may have made it look valid for hours
		time.Sleep(10 * time.Minute)
		w.keeper.Look()
		if err := errors.Join(w.check(), w.decide()); err != nil {
			return err
		}
	}
	if !w.broker.holds("one", w.record("one").Token.RefreshToken) {
		return errors.New("the record does not come to the token that works")
	}
	if !w.botCould() {
		return errors.New("the file does not come to the token that works")
	}
	return nil
}

// TestRivals: whatever programs do to the shared file, in whatever order, a
// token that works is never given up, and none is sent twice.
func TestRivals(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) move {
			return move{rapid.SampledFrom(moves).Draw(rt, "what"), rapid.IntRange(0, 1000).Draw(rt, "n")}
		}), 1, 25).Draw(rt, "moves")
		var wrong error
		synctest.Test(t, func(t *testing.T) {
			r, blind := newBlindRig(t)
			w := &rivals{sharedRig: r, blind: blind}
			w.botWrites(r.record("one").Token, true)
			w.g = w.start()
			defer func() { _ = w.g.end() }()
			for i, m := range ms {
				if wrong = errors.Join(w.make(m), w.check()); wrong != nil {
					wrong = fmt.Errorf("after move %d, %s: %w", i+1, m.what, wrong)
					return
				}
			}
			if wrong = w.end(); wrong != nil {
				wrong = fmt.Errorf("at the end: %w", wrong)
			}
		})
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}
