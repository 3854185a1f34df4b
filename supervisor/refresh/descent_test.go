package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var descents = []string{
	"time passes", "time passes", "the supervisor starts anew",
	"an answer waits in the spool", "an answer waits in the spool", "a login's answer waits in the spool",
	"a person logs in", "a person imports a token that lives", "a person imports a dead token",
	"another program's token is found", "the store is restored", "a login fails", "the store does not say what it took",
}

// unsaid are the writes of which the store may not say whether it took them.
var unsaid = []string{"attempt", "mark", "replay", "login", "end", "token"}

// chronicle is a store of which every commit is remembered.
type chronicle struct {
	store.Store
	commits []store.Record
}

func (c *chronicle) Commit(ctx context.Context, rec store.Record) error {
	err := c.Store.Commit(ctx, rec)
	if err == nil {
		c.commits = append(c.commits, rec)
	}
	return err
}

// keep has the account kept in a store that remembers its commits, and may not say
// what it took.
func (w *descent) keep(c *chronicle) {
	w.chronicle, w.unclear = c, &unclearStore{Store: c}
	w.store = w.unclear
}

// descent is a world in which answers, logins, imports, finds and backups come in
// any order.
type descent struct {
	*rig
	chronicle *chronicle
	unclear   *unclearStore
	g         *generation // nil: nothing runs
	fell      atomic.Bool // the process has been killed with an answer in its spool
	// pending is the refresh token of an answer that nobody has stored, and answers
	// are all of them that can be anywhere still.
	pending string
	answers map[string]bool
	// held is the token that works, if the record has held it.
	held string
	// dead counts tokens that never worked.
	dead  int
	found *format.Document
}

func newDescent(t *testing.T) *descent {
	r := newRig(t, 20*time.Minute, "one")
	first := r.record("one")
	c := &chronicle{Store: store.NewMemory()}
	w := &descent{rig: r, answers: map[string]bool{}}
	r.must(c.Commit(t.Context(), first))
	w.keep(c)
	r.accounts[0].WholeGrant = true
	r.elsewhere = func(context.Context, store.Record) refresh.Elsewhere {
		there := refresh.Elsewhere{Newer: w.found, Where: "a sink", Origin: store.OriginExternal}
		w.found = nil
		return there
	}
	r.restart()
	return w
}

// up sees to it that a generation runs, and has settled what was left open.
func (w *descent) up() {
	if w.g == nil {
		w.g = w.start()
		w.pass(2 * time.Second)
		w.pending = ""
	}
}

func (w *descent) down() {
	if w.g != nil {
		_ = w.g.end()
		w.g = nil
	}
	w.restart()
}

// pass lets time pass, and a process that was killed be gone.
func (w *descent) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	if !w.fell.CompareAndSwap(true, false) {
		return
	}
	_ = w.g.end() // a loop that has nothing to do would not see it
	w.g = nil
	w.pending = w.broker.newest("one").Reveal()
	w.answers[w.pending] = true
	w.restart()
}

// falls has the process killed when the next answer is in its spool.
func (w *descent) falls() {
	g := w.g
	w.broker.calm("one")
	w.broker.next("one", fault{die: spooled, kill: func() {
		g.kill()
		w.fell.Store(true)
	}})
}

// make makes a move. byPerson: a person has replaced the token, or restored the
// store.
func (w *descent) make(m move) (byPerson bool, err error) {
	switch m.what {
	case "time passes":
		for range 1 + m.n%40 {
			if w.pass(time.Minute); w.g == nil {
				break
			}
		}
	case "the supervisor starts anew":
		w.down()
		w.up()
	case "an answer waits in the spool":
		w.up()
		for w.falls(); w.g != nil && m.n > 0; m.n -= 50 {
			w.pass(time.Minute)
		}
		w.broker.calm("one")
	case "a login's answer waits in the spool":
		w.up()
		w.falls()
		_, err = w.keeper.CompleteLogin(w.t.Context(), "one", w.beginLogin("one"), "code-one")
		w.pass(time.Second)
		if w.broker.calm("one"); errors.Is(err, errUnclear) {
			return false, nil
		} else if err == nil || w.g != nil {
			return true, errors.New("the login went well")
		}
		return true, nil
	case "a person logs in":
		w.up()
		w.found = nil
		if _, err = w.keeper.CompleteLogin(w.t.Context(), "one", w.beginLogin("one"), "code-one"); errors.Is(err, errUnclear) {
			return false, nil
		}
		return true, err
	case "a login fails":
		w.up()
		if _, err = w.keeper.CompleteLogin(w.t.Context(), "one", w.beginLogin("one"), "wrong"); err == nil {
			return false, errors.New("a login with a wrong code went well")
		}
		return false, nil
	case "the store does not say what it took":
		w.up()
		w.unclear.fail(unsaid[m.n%len(unsaid)], m.n/len(unsaid)%2 == 0)
		if m.n%5 == 0 { // and what became of the attempt is not known either
			w.broker.next("one", fault{refuse: sdk.ErrAmbiguous})
		}
	case "a person imports a token that lives", "a person imports a dead token":
		t := sdk.Token{RefreshToken: sdk.NewSecret(fmt.Sprint("dead-", w.dead)), AccessToken: sdk.NewSecret("dead"), IssuedAt: w.wall(), Lifetime: 20 * time.Minute}
		if w.dead++; m.what == "a person imports a token that lives" {
			t, w.found = w.broker.grant("one"), nil
		}
		_, err = w.keeper.Import(w.t.Context(), store.Record{Account: "one", Token: t}, true)
		return true, err
	case "another program's token is found":
		t := w.broker.grant("one")
		w.found = &format.Document{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, IssuedAt: t.IssuedAt, Expiry: t.Expiry(), WrittenAt: w.wall()}
	case "the store is restored":
		w.down()
		commits := w.chronicle.commits
		commits = commits[:1+m.n%len(commits)]
		c := &chronicle{Store: store.NewMemory()}
		for _, rec := range commits {
			w.must(c.Commit(w.t.Context(), rec))
		}
		w.keep(c)
		w.restart()
		for rt := range w.answers {
			if rt != w.pending && !knows(w.record("one"), rt) { // that has gone with the store
				delete(w.answers, rt)
			}
		}
		return true, nil
	}
	return false, nil
}

// knows says whether a record has or had a refresh token, or keeps it.
func knows(rec store.Record, rt string) bool {
	fp := sdk.NewSecret(rt).Fingerprint()
	for _, b := range rec.Before {
		if b.Token.RefreshToken.Fingerprint() == fp {
			return true
		}
	}
	return keeps(rec, fp) || rec.Token.RefreshToken.Fingerprint() == fp || rec.Replaced(fp)
}

func keeps(rec store.Record, fingerprint string) bool {
	for _, e := range rec.Evidence {
		if e.Token.RefreshToken.Fingerprint() == fingerprint {
			return true
		}
	}
	return false
}

func (w *descent) check(byPerson bool) error {
	synctest.Wait()
	rec, lives := w.record("one"), w.broker.newest("one").Reveal()
	rt := rec.Token.RefreshToken.Reveal()
	if w.held == lives && rt != lives && w.pending != lives && !byPerson {
		return fmt.Errorf("the token that works was replaced by version %d from %s", rec.Version, rec.Origin)
	}
	w.held = ""
	if rt == lives {
		w.held = lives
	}
	for answer := range w.answers {
		if answer != w.pending && !knows(rec, answer) {
			return fmt.Errorf("an answer is lost (%s); version %d from %s stands", answer, rec.Version, rec.Origin)
		}
	}
	inMemory := func() store.Record { return w.status("one").Record }
	if s := inMemory(); w.g != nil && w.unclear.hasHidden() && s.Version != rec.Version {
		w.pass(30 * time.Second) // it is tried again, and so known
		rec = w.record("one")
	}
	if s := inMemory(); w.g != nil && !s.Held && s.Version != rec.Version {
		return fmt.Errorf("version %d is stored, and version %d in memory", rec.Version, s.Version)
	}
	return nil
}

// end checks that the account comes to the token that works, if that is anywhere
// here.
func (w *descent) end() error {
	lives := w.broker.newest("one")
	rec := w.record("one")
	here := w.pending == lives.Reveal() || rec.Token.RefreshToken.Equal(lives) || keeps(rec, lives.Fingerprint())
	w.up()
	for range 18 {
		w.pass(10 * time.Minute)
		if err := w.check(false); err != nil {
			return err
		}
	}
	if rec = w.record("one"); here && !rec.Token.RefreshToken.Equal(w.broker.newest("one")) {
		return fmt.Errorf("the token that works was here, and version %d from %s stands", rec.Version, rec.Origin)
	}
	return nil
}

// TestDescent: in whatever order answers, logins, imports, finds and backups come,
// the token that works is replaced by nothing but its child or by what a person
// has brought, and nothing that was answered is lost.
func TestDescent(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) move {
			return move{rapid.SampledFrom(descents).Draw(rt, "what"), rapid.IntRange(0, 1000).Draw(rt, "n")}
		}), 1, 10).Draw(rt, "moves")
		var wrong error
		synctest.Test(t, func(t *testing.T) {
			w := newDescent(t)
			w.up()
			defer func() {
				if w.g != nil {
					_ = w.g.end()
				}
			}()
			for i, m := range ms {
				byPerson, err := w.make(m)
				if wrong = errors.Join(err, w.check(byPerson)); wrong != nil {
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

// calm takes the faults away that have not come.
func (b *broker) calm(account string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.faults, account)
}
