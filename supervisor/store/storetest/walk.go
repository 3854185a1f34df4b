package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// testWalk lets two keepers refresh one account, whose answers from the store get lost,
// and who go on from what they have read some time ago.
func testWalk(t *testing.T, place Place, pair Pair) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b := pair(t, place(t))
		defer func() { _, _ = a.Close(), b.Close() }()
		w := &walk{T: rt, ctx: t.Context(), truth: b}
		w.record = First("main")
		must(t, a.Commit(w.ctx, w.record))
		for n, s := range []store.Store{a, b} {
			w.keepers[n] = &keeper{walk: w, name: string(rune('A' + n)), s: &Lossy{Store: &witnessed{s, w}}}
		}
		acts := map[string]func(*rapid.T){"": w.check}
		for name, act := range map[string]func(*keeper){
			"look": (*keeper).look, "announce": (*keeper).announce, "send": (*keeper).send, "store": (*keeper).store,
			"fail": (*keeper).fail, "doubt": (*keeper).doubt, "log in": (*keeper).logIn,
		} {
			acts[name] = func(rt *rapid.T) {
				w.T = rt
				k := w.keepers[rapid.IntRange(0, 1).Draw(rt, "keeper")]
				k.s.Lose(rapid.SampledFrom([]Loss{Lossless, Lossless, Before, After, Late}).Draw(rt, "lost"))
				act(k)
				k.s.Lose(Lossless)
			}
		}
		rt.Repeat(acts)
		w.end()
	})
}

// walk is what is true, as whoever stands beside the engine sees it.
type walk struct {
	*rapid.T
	ctx     context.Context
	truth   store.Store
	keepers [2]*keeper
	record  store.Record // that was stored last
	open    string       // the attempt that stands; "": none
	ids     int
	tokens  uint64
}

// witnessed tells the walk which changes the engine has made.
type witnessed struct {
	store.Store
	w *walk
}

func (s *witnessed) Intend(ctx context.Context, in store.Intent) error {
	err := s.Store.Intend(ctx, in)
	if err == nil {
		if s.w.open != "" && s.w.open != in.Attempt {
			s.w.Fatalf("attempt %s was announced while %s was open", in.Attempt, s.w.open)
		}
		s.w.announced(in)
	}
	return err
}

func (s *witnessed) Replace(ctx context.Context, attempt string, in store.Intent) error {
	err := s.Store.Replace(ctx, attempt, in)
	if err == nil {
		if s.w.open != attempt {
			s.w.Fatalf("attempt %s took the place of %s, and %q was open", in.Attempt, attempt, s.w.open)
		}
		s.w.announced(in)
	}
	return err
}

func (w *walk) announced(in store.Intent) {
	if in.Version != w.record.Version || in.Grant != w.record.Grant {
		w.Fatalf("attempt %s rests on version %d of grant %d, and version %d of grant %d stands",
			in.Attempt, in.Version, in.Grant, w.record.Version, w.record.Grant)
	}
	w.open = in.Attempt
}

func (s *witnessed) Commit(ctx context.Context, rec store.Record) error {
	err := s.Store.Commit(ctx, rec)
	if err == nil {
		if rec.Version != s.w.record.Version+1 || s.w.open != "" && s.w.open != rec.Attempt {
			s.w.Fatalf("version %d of attempt %s follows version %d, and %q was open", rec.Version, rec.Attempt, s.w.record.Version, s.w.open)
		}
		s.w.record, s.w.open = rec, ""
	}
	return err
}

func (s *witnessed) Abandon(ctx context.Context, account, attempt string, at store.Basis, h store.Health) error {
	err := s.Store.Abandon(ctx, account, attempt, at, h)
	if err == nil {
		if s.w.open != "" && s.w.open != attempt || !at.Is(s.w.record) {
			s.w.Fatalf("attempt %s was ended, and %q was open", attempt, s.w.open)
		}
		s.w.record.Health, s.w.open = h, ""
	}
	return err
}

// check compares the engine with what it has acknowledged, or not.
func (w *walk) check(t *rapid.T) {
	got, err := w.truth.Load(w.ctx, "main")
	in, _, ierr := w.truth.Intent(w.ctx, "main")
	if d := Diff(got, w.record); d != "" || in.Attempt != w.open || errors.Join(err, ierr) != nil {
		t.Fatalf("%s; attempt %q stands, want %q (%v)", d, in.Attempt, w.open, errors.Join(err, ierr))
	}
}

// end: once no answer is lost any more, either keeper comes to a next token.
func (w *walk) end() {
	for _, k := range w.keepers {
		k.look()
		k.announce()
		was := w.record.Version
		k.send()
		k.store()
		if w.record.Version != was+1 {
			w.Fatalf("keeper %s gets no token any more: version %d stands, and attempt %q", k.name, w.record.Version, w.open)
		}
	}
}

// keeper is one of the two, and what it knows.
type keeper struct {
	*walk
	name string
	s    *Lossy
	rec  store.Record // as it was read last; of version 0: it has to be read first
	open *store.Intent
	own  string // the attempt that it has announced
	sent string // the attempt of its that was answered
	// asks is the attempt whose announcement has no answer; unsure: some change has none.
	asks   string
	unsure bool
}

// look reads everything anew.
func (k *keeper) look() {
	rec, err := k.s.Load(k.ctx, "main")
	in, open, ierr := k.s.Intent(k.ctx, "main")
	if err = errors.Join(err, ierr); err != nil {
		k.Fatal(err)
	}
	if k.rec, k.open = rec, nil; open {
		k.open = &in
	}
	if open && k.asks == in.Attempt { // it was announced after all
		k.own = k.asks
	}
	if k.asks, k.unsure = "", false; !open || in.Attempt != k.own {
		k.own, k.sent = "", ""
	}
}

// heard goes on after a change; it does nothing before it has read back one of which it
// does not know, or which was refused.
func (k *keeper) heard(err error, made func()) {
	switch {
	case err == nil:
		made()
	case errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrConflict):
		k.unsure = true
	default:
		k.Fatalf("keeper %s: %v", k.name, err)
	}
}

// knows says whether the keeper may go on: otherwise it has looked.
func (k *keeper) knows() bool {
	if k.unsure || k.rec.Version == 0 {
		k.look()
		return false
	}
	return true
}

// announce announces an attempt, over the one that it has seen.
func (k *keeper) announce() {
	if !k.knows() {
		return
	}
	k.ids++
	in := store.Intent{
		Account: "main", Attempt: fmt.Sprint(k.name, k.ids), Version: k.rec.Version, Grant: k.rec.Grant,
		Fingerprint: k.rec.Token.RefreshToken.Fingerprint(), At: start.Add(time.Duration(k.ids) * time.Second),
	}
	var err error
	if k.open == nil {
		err = k.s.Intend(k.ctx, in)
	} else {
		in.Replays, in.AmbiguousSince = k.open.Attempt, start
		err = k.s.Replace(k.ctx, k.open.Attempt, in)
	}
	k.asks = in.Attempt
	k.heard(err, func() { k.asks, k.own, k.open = "", in.Attempt, &in })
}

// send spends the refresh token of an attempt that stands announced, by all that is known.
// Of one that was paused since the store's word there is none that could see to it.
func (k *keeper) send() {
	if !k.knows() || k.own == "" || k.sent == k.own {
		return
	}
	if k.look(); k.own == "" {
		return
	}
	if k.walk.open != k.own || !k.rec.Token.RefreshToken.Equal(k.record.Token.RefreshToken) || k.rec.Grant != k.record.Grant {
		k.Fatalf("keeper %s sends the refresh token of version %d, grant %d: version %d, grant %d stands, and attempt %q",
			k.name, k.rec.Version, k.rec.Grant, k.record.Version, k.record.Grant, k.walk.open)
	}
	k.sent = k.own
}

// store stores the answer of what was sent; one that can't be stored is over.
func (k *keeper) store() {
	if !k.knows() || k.sent == "" {
		return
	}
	k.tokens++
	next := k.rec.Next(Token("answer", k.tokens), store.OriginRefresh, k.sent, start)
	k.heard(k.s.Commit(k.ctx, next), func() { k.rec, k.open, k.own, k.sent = next, nil, "", "" })
}

// fail ends an attempt that was refused.
func (k *keeper) fail() {
	if !k.knows() || k.sent == "" {
		return
	}
	h := store.Health{Failures: k.ids}
	k.heard(k.s.Abandon(k.ctx, "main", k.sent, k.rec.Basis(), h), func() { k.rec.Health, k.open, k.own, k.sent = h, nil, "", "" })
}

// doubt marks the attempt that it sees as one of which nobody knows the outcome.
func (k *keeper) doubt() {
	if !k.knows() || k.open == nil {
		return
	}
	in := *k.open
	in.AmbiguousSince, in.Sends = start, in.Sends+1
	k.heard(k.s.Replace(k.ctx, in.Attempt, in), func() { k.open = &in })
}

// logIn stores a person's login over whatever stands.
func (k *keeper) logIn() {
	if !k.knows() {
		return
	}
	k.tokens++
	next := k.rec.Next(Token("login", k.tokens), store.OriginLogin, "", start)
	if k.open != nil {
		next.Attempt = k.open.Attempt
	}
	k.heard(k.s.Commit(k.ctx, next), func() { k.rec, k.open, k.own, k.sent = next, nil, "", "" })
}
