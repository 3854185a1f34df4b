// Package sinktest is the contract suite of sinks: what every Sink owes the
// delivery worker, whatever it delivers to. A sink's own test says how its
// destination is set up and broken, and calls [Run].
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// send makes one try with what the sink carries: the version of the account, or
// a notice that stands for it.
func (s Suite) send(ctx context.Context, d Destination, account string, version uint64) error {
	if s.Carries != OnlyNotices {
		return d.Sink.Deliver(ctx, Full(account, version))
	}
	n, ok := d.Sink.(sink.Notifier)
	if !ok {
		return errors.New("a sink that carries only notices implements sink.Notifier")
	}
	return n.Notify(ctx, Alert(account, version))
}

// patient makes a try at a destination that answers, and as the worker does another
// one after each that has taken all of the sink's time: that says of a busy machine
// that it is busy, and of the sink nothing.
func (d Destination) patient(t *testing.T, try func() error) error {
	t.Helper()
	ctx, cancel := waittest.Context(context.WithoutCancel(t.Context()), waittest.Patience)
	defer cancel()
	for {
		began := time.Now()
		err := try()
		if err == nil || d.Timeout <= 0 || time.Since(began) < d.Timeout || ctx.Err() != nil {
			return err
		}
		AssertNoSecret(t, err)
	}
}

// sent is send for what must succeed, and says whether it did: what failed has
// not to arrive.
func (s Suite) sent(t *testing.T, d Destination, account string, version uint64) bool {
	t.Helper()
	err := d.patient(t, func() error { return s.send(t.Context(), d, account, version) })
	if err != nil {
		t.Errorf("version %d of %s: %v", version, account, err)
	}
	return err == nil
}

// arrived waits until the receiver has what was sent. before is how much it
// had, which only signals need: one of them looks like the other.
func (s Suite) arrived(t *testing.T, d Destination, account string, version uint64, before int) {
	t.Helper()
	what := accessToken(account, version)
	if s.Carries == OnlyNotices {
		what = noticeText(account, version)
	}
	has := func() bool {
		got := d.Received(t)
		if s.Carries == Signals {
			return len(got) > before
		}
		return contains(got, what)
	}
	if !s.eventually(has) {
		t.Fatalf("version %d of %s did not arrive, though the sink said so", version, account)
	}
	if s.Carries != Tokens && tells(strings.Join(d.Received(t), "\n")) {
		t.Error("a secret arrived where none may go")
	}
}

func (s Suite) success(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	if s.Carries == OnlyNotices {
		if err := d.Sink.Deliver(t.Context(), Full("acct", 1)); !errors.Is(err, sink.ErrRefused) {
			t.Errorf("a token, for a sink that must not get one: %v", err)
		}
	}
	for v := range uint64(2) {
		before := len(d.Received(t))
		if s.sent(t, d, "acct", v+1) {
			s.arrived(t, d, "acct", v+1, before)
		}
	}
	if s.Carries == Tokens && !contains(d.Received(t), refreshToken("acct", 2)) {
		t.Error("the document has a refresh token, but it did not arrive")
	}
}

func (s Suite) fieldPolicy(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	deliver(t, d, Bare("acct", 1))
	s.arrived(t, d, "acct", 1, 0)
	for _, got := range d.Received(t) {
		if strings.Contains(got, refreshToken("acct", 1)) || strings.Contains(got, clientSecret) {
			t.Error("a secret arrived that the document does not hold")
		}
	}
	// Nothing of one delivery may come along with the next.
	d = s.New(t)
	d.Appear(t)
	deliver(t, d, Full("acct", 1))
	s.arrived(t, d, "acct", 1, 0)
	before := len(d.Received(t))
	deliver(t, d, Bare("acct", 2))
	s.arrived(t, d, "acct", 2, 0)
	after := d.Received(t)
	if len(after) > before {
		after = after[before:]
	}
	if contains(after, refreshToken("acct", 1)) {
		t.Error("an earlier delivery's refresh token arrived with a document that has none")
	}
}

func (s Suite) appearing(t *testing.T) {
	d := s.New(t)
	err := s.send(t.Context(), d, "acct", 1)
	if err == nil {
		t.Fatal("a delivery to a missing destination succeeded")
	}
	if d.Missing != nil && !errors.Is(err, d.Missing) {
		t.Errorf("got %v, want %v", err, d.Missing)
	}
	AssertNoSecret(t, err)
	d.Appear(t)
	before := len(d.Received(t))
	if s.sent(t, d, "acct", 1) {
		s.arrived(t, d, "acct", 1, before)
	}
}

func (s Suite) concurrent(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	var wg sync.WaitGroup
	const accounts, versions = 8, 3
	var newest [accounts]bool // the delivery of the newest version succeeded
	for i := range accounts {
		wg.Go(func() {
			for v := range versions {
				newest[i] = s.sent(t, d, fmt.Sprint("acct", i), uint64(v+1))
			}
		})
	}
	wg.Wait()
	for i := range accounts {
		if newest[i] {
			s.arrived(t, d, fmt.Sprint("acct", i), versions, 0)
		}
	}
}

func (s Suite) cancelledBefore(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := within(t, soon, func() error { return s.send(ctx, d, "acct", 1) })
	if err == nil {
		t.Error("a delivery whose context had ended succeeded")
	}
	AssertNoSecret(t, err)
}

func (s Suite) hang(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	d.Hang(t)
	err := within(t, d.Timeout+soon, func() error { return s.send(t.Context(), d, "acct", 1) })
	retried(t, err)
	s.mended(t, d)
}

func (s Suite) cancelled(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	d.Hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), min(50*time.Millisecond, d.Timeout/2))
	defer cancel()
	retried(t, within(t, soon, func() error { return s.send(ctx, d, "acct", 1) }))
}

func (s Suite) fault(t *testing.T, name string) {
	d := s.New(t)
	d.Appear(t)
	f := d.Faults[name]
	before := len(d.Received(t))
	f.Set(t)
	try := func() error {
		return within(t, d.Timeout+soon, func() error { return s.send(t.Context(), d, "acct", 1) })
	}
	var err error
	if f.Harmless || f.Want != nil || f.RetryAfter > 0 {
		err = d.patient(t, try)
	} else {
		err = try()
	}
	switch {
	case f.Harmless:
		if err != nil {
			t.Fatalf("it does no harm, but the delivery failed: %v", err)
		}
		s.arrived(t, d, "acct", 1, before)
		return
	case f.Want == nil:
		retried(t, err)
	case !errors.Is(err, f.Want):
		t.Errorf("got %v, want %v", err, f.Want)
	}
	AssertNoSecret(t, err)
	var asked *sink.RetryAfterError
	if errors.As(err, &asked) != (f.RetryAfter > 0) {
		t.Fatalf("got %v, want a pause of %s", err, f.RetryAfter)
	}
	// A date in Retry-After has whole seconds, some of which have passed.
	if asked != nil && (asked.After > f.RetryAfter || asked.After < f.RetryAfter-5*time.Second) {
		t.Errorf("asks for a pause of %s, want %s", asked.After, f.RetryAfter)
	}
	if tester, ok := d.Sink.(sink.Tester); ok {
		_, err := tester.Test(t.Context(), Full("acct", 1))
		AssertNoSecret(t, err)
	}
	s.mended(t, d)
}

// mended checks that nothing of the fault stays behind in the sink.
func (s Suite) mended(t *testing.T, d Destination) {
	t.Helper()
	if d.Mend == nil {
		return
	}
	d.Mend(t)
	before := len(d.Received(t))
	if s.sent(t, d, "acct", 2) {
		s.arrived(t, d, "acct", 2, before)
	}
}

// retried checks that the worker would try again after err.
func retried(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("the delivery succeeded")
	}
	for _, final := range []error{sink.ErrAbsent, sink.ErrGone, sink.ErrRefused} {
		if errors.Is(err, final) {
			t.Errorf("%v would not be retried as a failure: it is %v", err, final)
		}
	}
	AssertNoSecret(t, err)
}

func deliver(t *testing.T, d Destination, dl sink.Delivery) {
	t.Helper()
	if err := d.patient(t, func() error { return d.Sink.Deliver(t.Context(), dl) }); err != nil {
		t.Fatalf("version %d of %s: %v", dl.Version, dl.Document.Account, err)
	}
}

func contains(all []string, what string) bool {
	for _, got := range all {
		if strings.Contains(got, what) {
			return true
		}
	}
	return false
}

// eventually says whether true comes within the suite's patience.
func (s Suite) eventually(is func() bool) bool {
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late, cancel := waittest.Context(context.Background(), beats(s.Patience))
	defer cancel()
	for !is() {
		select {
		case <-look.C:
		case <-late.Done():
			return is()
		}
	}
	return true
}

// beats are those of package waittest that take that long at least, so that a
// machine that is busy is not taken for a sink that fails.
func beats(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// within fails the test if do takes longer than limit.
func within(t *testing.T, limit time.Duration, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	late, cancel := waittest.Context(context.WithoutCancel(t.Context()), beats(limit))
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-late.Done():
		t.Fatalf("the sink did not return within %s", limit)
		return nil
	}
}
