package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

// life is what a provider does with its spool, and what it was promised.
type life struct {
	disk  *filestest.Disk
	dir   string
	spool *Spool // nil: it could not be opened
	// slots are the attempts that are not settled, accounts whose they are.
	slots    map[string]*Slot
	accounts map[string]string
	// answers are what was given to Record, by attempt. Those of which Record
	// said that they are durable, and that nobody has begun to settle, are
	// promised; those of which Settle said that they are put aside, kept.
	answers        map[string]string
	promised, kept map[string]bool
}

// newLife begins in a directory in which there is no spool yet.
func newLife(t *testing.T, root string) *life {
	return &life{
		disk: filestest.New(t, root), dir: filepath.Join(root, "spool", "broker"), slots: map[string]*Slot{}, accounts: map[string]string{}, answers: map[string]string{},
		promised: map[string]bool{}, kept: map[string]bool{},
	}
}

// reborn is the next process after l, in what is left of its directory.
func (l *life) reborn(t *testing.T, root string) *life {
	next := newLife(t, root)
	next.answers, next.promised, next.kept = maps.Clone(l.answers), maps.Clone(l.promised), maps.Clone(l.kept)
	return next
}

// step is one call of the spool. An error of the test is a broken promise.
type step func(l *life) error

func opens(l *life) error {
	if l.spool != nil {
		return nil
	}
	l.spool, _ = openOn(context.Background(), l.disk, 2, l.dir)
	return nil
}

func closes(l *life) error {
	if l.spool != nil {
		_ = l.spool.Close()
	}
	l.spool, l.slots = nil, map[string]*Slot{}
	return nil
}

// begins takes a slot and marks it as sent, or leaves it at that.
func begins(attempt, account string) step {
	return func(l *life) error {
		if l.spool == nil {
			return nil
		}
		for other := range l.slots { // one that could not be put aside
			if l.accounts[other] == account {
				if err := settles(other, true)(l); err != nil || l.slots[other] != nil {
					return err
				}
			}
		}
		slot, known, err := l.spool.Begin(Header{Attempt: attempt, Account: account})
		switch {
		case known:
			return fmt.Errorf("attempt %s is known", attempt)
		case errors.Is(err, ErrUnsettled):
			return err
		case err != nil:
			for _, e := range l.spool.Unsettled() {
				if e.Attempt == attempt {
					return fmt.Errorf("attempt %s could not begin, and stands in the spool", attempt)
				}
			}
			return nil
		}
		if slot.Advance(Ready) != nil || slot.Advance(Sent) != nil {
			return l.spool.Settle(attempt, false) // nothing is sent
		}
		l.slots[attempt], l.accounts[attempt] = slot, account
		return nil
	}
}

func records(attempt, answer string) step {
	return func(l *life) error {
		slot := l.slots[attempt]
		if slot == nil {
			return nil
		}
		l.answers[attempt] = answer
		err := slot.Record([]byte(answer))
		if got, ok := slot.Answer(); !ok || string(got) != answer {
			return fmt.Errorf("after Record of %s said %v, its answer is %.20q", attempt, err, got)
		}
		if (err != nil) != (slot.Fault() != nil) {
			return fmt.Errorf("Record of %s said %v, and Fault says %v", attempt, err, slot.Fault())
		}
		l.promised[attempt] = err == nil
		return nil
	}
}

func settles(attempt string, keep bool) step {
	return func(l *life) error {
		if l.slots[attempt] == nil {
			return nil
		}
		was := l.promised[attempt]
		l.promised[attempt] = false
		err := l.spool.Settle(attempt, keep)
		switch {
		case keep && err == nil && l.slots[attempt].Progress() == Answered:
			l.kept[attempt] = !l.disk.Down()
		case keep && err != nil:
			l.promised[attempt] = was
			return nil
		case err != nil:
			return err // it would block the account
		}
		if !keep {
			l.kept[attempt] = false // a loss of power had brought it back into its slot
		}
		delete(l.slots, attempt)
		return nil
	}
}

// longAnswer is more than a slot was made for.
var longAnswer = "B" + strings.Repeat("b", slotSize)

// aLife takes, settles and puts aside, uses slots again, needs more than there
// are, and starts anew.
func aLife() []step {
	return []step{
		opens,
		begins("a", "x"), records("a", "A"),
		begins("b", "y"), records("b", longAnswer),
		settles("a", false),
		begins("c", "x"), records("c", "C"),
		settles("b", true),
		begins("d", "y"), begins("e", "z"), records("e", "E"), records("d", "D"),
		settles("c", false),
		closes, opens, // d and e stand in it
		begins("f", "x"), records("f", "F"),
	}
}

// live runs the steps for as long as there is power. check is called after
// each.
func (l *life) live(t *testing.T, steps []step, check func()) {
	t.Helper()
	for i, s := range steps {
		if l.disk.Down() {
			break
		}
		if err := s(l); err != nil && !l.disk.Down() {
			t.Errorf("step %d: %v\n%s", i+1, err, l.disk)
		}
		if check != nil {
			check()
		}
	}
}

// outcomes are the images that have been judged, each with what was promised.
// The next process does the same with equal ones: one of them is judged.
type outcomes map[string]bool

// hold checks what the next process finds after a loss of power.
func (o outcomes) hold(t *testing.T, l *life, s filestest.Survival, when string) {
	t.Helper()
	// Maps are printed in order.
	outcome := fmt.Sprint(l.disk.Fingerprint(s), l.answers, l.promised, l.kept)
	if o[outcome] {
		return
	}
	o[outcome] = true
	l.disk.Image(t, s, func(root string) { l.holds(t, root, when) })
}

// holds checks what the next process finds in dir.
func (l *life) holds(t *testing.T, root, when string) {
	t.Helper()
	next := l.reborn(t, root)
	fail := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s: %s\n%s", when, fmt.Sprintf(format, args...), l.disk)
	}
	if opens(next); next.spool == nil {
		fail("the spool can't be opened")
		return
	}
	defer func() { _ = closes(next) }()
	found := map[string]string{}
	accounts := map[string]bool{}
	for _, e := range next.spool.Unsettled() {
		slot, known, err := next.spool.Begin(e.Header)
		if err != nil || !known {
			fail("attempt %s is listed, but known %t, %v", e.Attempt, known, err)
			continue
		}
		if answer, ok := slot.Answer(); ok {
			found[e.Attempt] = string(answer)
			if want := l.answers[e.Attempt]; string(answer) != want {
				fail("attempt %s has the answer %.20q, want %.20q", e.Attempt, answer, want)
			}
		}
		accounts[e.Account] = true
	}
	for attempt, promised := range l.promised {
		if _, ok := found[attempt]; promised && !ok {
			fail("the answer of attempt %s is lost", attempt)
		}
	}
	for attempt, kept := range l.kept {
		if !kept || found[attempt] != "" {
			continue
		}
		if b, err := os.ReadFile(filepath.Join(next.dir, asidePrefix+attempt)); err != nil || !bytes.Contains(b, []byte(l.answers[attempt])) {
			fail("what was put aside of attempt %s is lost: %v", attempt, err)
		}
	}
	// Whatever it looks like, once it is settled everybody can go on.
	for _, e := range next.spool.Unsettled() {
		if err := next.spool.Settle(e.Attempt, false); err != nil {
			fail("settle %s: %v", e.Attempt, err)
		}
	}
	for _, account := range []string{"x", "y", "z"} {
		slot, known, err := next.spool.Begin(Header{Attempt: "next of " + account, Account: account})
		if err != nil || known {
			fail("the next attempt of %s: known %t, %v", account, known, err)
		} else if _, ok := slot.Answer(); ok {
			fail("the next attempt of %s has an answer", account)
		} else if err := slot.Record([]byte("next")); err != nil {
			fail("the next attempt of %s: %v", account, err)
		}
	}
}

// lives runs one life on a disk of its own.
func lives(t *testing.T, prepare func(*filestest.Disk), live func(l *life)) (operations int) {
	t.Helper()
	root := filestest.Scratch(t)
	defer func() { _ = os.RemoveAll(root) }()
	l := newLife(t, root)
	defer func() { _ = closes(l) }()
	prepare(l.disk)
	live(l)
	return len(l.disk.Log())
}

// goesOn checks that after the fault is over the same process, or the next one
// if this one had no spool, has what it was promised and can go on.
func (l *life) goesOn(t *testing.T, when string) {
	t.Helper()
	if l.spool == nil {
		l.holds(t, filepath.Dir(filepath.Dir(l.dir)), when+", then a start")
		return
	}
	for attempt, slot := range l.slots {
		want, answered := l.answers[attempt]
		if got, ok := slot.Answer(); ok != answered || string(got) != want {
			t.Errorf("%s: attempt %s has the answer %.20q, want %.20q", when, attempt, got, want)
		}
	}
	for _, e := range l.spool.Unsettled() {
		if err := l.spool.Settle(e.Attempt, false); err != nil {
			t.Errorf("%s: settle %s: %v", when, e.Attempt, err)
		}
	}
	for _, account := range []string{"x", "y", "z"} {
		slot, known, err := l.spool.Begin(Header{Attempt: "after " + account, Account: account})
		if err == nil && !known {
			err = slot.Record([]byte("after"))
		}
		if err != nil || known {
			t.Errorf("%s: afterwards %s has its attempt known %t, %v\n%s", when, account, known, err, l.disk)
		}
	}
}
