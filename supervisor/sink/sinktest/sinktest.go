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

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Suite is one kind of sink.
type Suite struct {
	// New returns a sink and its fresh destination, which is missing until
	// Appear is called.
	New func(t *testing.T) Destination
}

// Destination is where one sink delivers to.
type Destination struct {
	Sink sink.Sink
	// Appear makes the destination take deliveries.
	Appear func(t *testing.T)
	// Received returns what has arrived, oldest first, as raw bytes: everything
	// that the receiver could see. A destination that keeps only the newest
	// state returns that, one element per account.
	Received func(t *testing.T) []string
	// Missing is what a delivery to the missing destination must be by
	// errors.Is, e.g. sink.ErrAbsent; nil: any error.
	Missing error
	// Hang makes the destination take the connection and never answer; nil:
	// it can't. Timeout is the sink's own deadline then.
	Hang    func(t *testing.T)
	Timeout time.Duration
	// Faults are all the other ways in which it can fail, by name.
	Faults map[string]Fault
}

// Fault is one way to fail.
type Fault struct {
	// Set breaks the destination, which has appeared.
	Set func(t *testing.T)
	// Want is what the delivery must be by errors.Is; nil: an error that the
	// worker retries.
	Want error
	// RetryAfter that the error must ask for.
	RetryAfter time.Duration
}

// soon is how fast a sink has to return once it should.
const soon = 2 * time.Second

// Run puts the sink through the suite.
func Run(t *testing.T, s Suite) {
	t.Run("success", s.success)
	t.Run("no refresh token unless the document has one", s.fieldPolicy)
	t.Run("missing, then appearing", s.appearing)
	t.Run("accounts at once", s.concurrent)
	t.Run("context ended before", s.cancelledBefore)
	probe := s.New(t)
	if probe.Hang != nil {
		t.Run("hang past the sink's deadline", s.hang)
		t.Run("context ends in a hang", s.cancelled)
	}
	for name := range probe.Faults {
		t.Run(name, func(t *testing.T) { s.fault(t, name) })
	}
}

func (s Suite) success(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	deliver(t, d, Full("acct", 1))
	if !arrived(t, d, accessToken("acct", 1)) {
		t.Fatal("Deliver returned nil, but the token did not arrive")
	}
	if !arrived(t, d, refreshToken("acct", 1)) {
		t.Error("the document has a refresh token, but it did not arrive")
	}
	deliver(t, d, Full("acct", 2))
	if !arrived(t, d, accessToken("acct", 2)) {
		t.Error("the second version did not arrive")
	}
}

func (s Suite) fieldPolicy(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	deliver(t, d, Bare("acct", 1))
	if !arrived(t, d, accessToken("acct", 1)) {
		t.Fatal("the token did not arrive")
	}
	for _, got := range d.Received(t) {
		if strings.Contains(got, refreshToken("acct", 1)) || strings.Contains(got, clientSecret) {
			t.Error("a secret arrived that the document does not hold")
		}
	}
	// Nothing of one delivery may come along with the next.
	d = s.New(t)
	d.Appear(t)
	deliver(t, d, Full("acct", 1))
	before := len(d.Received(t))
	deliver(t, d, Bare("acct", 2))
	after := d.Received(t)
	if len(after) > before {
		after = after[before:]
	}
	for _, got := range after {
		if strings.Contains(got, refreshToken("acct", 1)) {
			t.Error("an earlier delivery's refresh token arrived with a document that has none")
		}
	}
}

func (s Suite) appearing(t *testing.T) {
	d := s.New(t)
	dl := Full("acct", 1)
	err := d.Sink.Deliver(t.Context(), dl)
	if err == nil {
		t.Fatal("a delivery to a missing destination succeeded")
	}
	if d.Missing != nil && !errors.Is(err, d.Missing) {
		t.Errorf("got %v, want %v", err, d.Missing)
	}
	AssertNoSecret(t, err)
	d.Appear(t)
	deliver(t, d, dl)
	if !arrived(t, d, accessToken("acct", 1)) {
		t.Error("the token did not arrive once the destination was there")
	}
}

func (s Suite) concurrent(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	var wg sync.WaitGroup
	const accounts, versions = 8, 3
	for i := range accounts {
		wg.Go(func() {
			for v := range versions {
				deliver(t, d, Full(fmt.Sprint("acct", i), uint64(v+1)))
			}
		})
	}
	wg.Wait()
	for i := range accounts {
		if !arrived(t, d, accessToken(fmt.Sprint("acct", i), versions)) {
			t.Errorf("the newest version of account %d did not arrive", i)
		}
	}
}

func (s Suite) cancelledBefore(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := within(t, soon, func() error { return d.Sink.Deliver(ctx, Full("acct", 1)) })
	if err == nil {
		t.Error("a delivery whose context had ended succeeded")
	}
	AssertNoSecret(t, err)
}

func (s Suite) hang(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	d.Hang(t)
	err := within(t, d.Timeout+soon, func() error { return d.Sink.Deliver(t.Context(), Full("acct", 1)) })
	retried(t, err)
}

func (s Suite) cancelled(t *testing.T) {
	d := s.New(t)
	d.Appear(t)
	d.Hang(t)
	ctx, cancel := context.WithTimeout(t.Context(), min(50*time.Millisecond, d.Timeout/2))
	defer cancel()
	err := within(t, soon, func() error { return d.Sink.Deliver(ctx, Full("acct", 1)) })
	retried(t, err)
}

func (s Suite) fault(t *testing.T, name string) {
	d := s.New(t)
	d.Appear(t)
	f := d.Faults[name]
	f.Set(t)
	err := within(t, d.Timeout+soon, func() error { return d.Sink.Deliver(t.Context(), Full("acct", 1)) })
	if f.Want == nil {
		retried(t, err)
	} else if !errors.Is(err, f.Want) {
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
	if err := d.Sink.Deliver(t.Context(), dl); err != nil {
		t.Errorf("version %d of %s: %v", dl.Version, dl.Document.Account, err)
	}
}

func arrived(t *testing.T, d Destination, token string) bool {
	t.Helper()
	for _, got := range d.Received(t) {
		if strings.Contains(got, token) {
			return true
		}
	}
	return false
}

// within fails the test if do takes longer than limit.
func within(t *testing.T, limit time.Duration, do func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-time.After(limit):
		t.Fatalf("Deliver did not return within %s", limit)
		return nil
	}
}
