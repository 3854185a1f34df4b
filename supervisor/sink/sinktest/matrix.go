package sinktest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Case is one thing that happens to destinations.
type Case string

// Every sink answers for each of these: with a [Fault] of that case, with what
// [Run] does by itself, or in [Suite.Never] with the reason why it can't happen
// to a sink of its kind.
const (
	// These need a Fault.
	HTTPRedirect    Case = "HTTP 3xx"
	HTTPClientError Case = "HTTP 4xx"
	HTTPServerError Case = "HTTP 5xx"
	ResetInAnswer   Case = "reset in mid-answer"
	LateAnswer      Case = "answer after the deadline"
	SlowReader      Case = "slow reader"
	NoAck           Case = "peer that never acknowledges"
	WrongAck        Case = "wrong acknowledgement"
	FullDisk        Case = "full disk"
	// This needs Destination.Hang.
	Hang Case = "hang"
	// These are always run unless they are in Never.
	Success    Case = "success"
	Appearing  Case = "missing, then appearing"
	Restart    Case = "restart between delivery and ledger"
	AtOnce     Case = "accounts at once"
	EndedFirst Case = "context ended before"
	// These are run if the sink is a [sink.Notifier], a [sink.Tester].
	Notices Case = "notices"
	Test    Case = "test"
	// These are run if the sink is a [sink.Recipient], a [sink.Holder]; they need
	// Destination.Anew and Lose.
	Anew Case = "another consumer"
	Loss Case = "a destination that loses what it had"
)

// Cases returns the whole matrix.
func Cases() []Case {
	return []Case{
		Success, HTTPRedirect, HTTPClientError, HTTPServerError, Hang, ResetInAnswer, LateAnswer, SlowReader, NoAck, WrongAck,
		Appearing, FullDisk, Restart, AtOnce, EndedFirst, Notices, Test, Anew, Loss,
	}
}

// Carries is what a sink brings to its destination.
type Carries int

const (
	// Tokens: what most sinks bring.
	Tokens Carries = iota
	// Signals: only that there is a newer token, which the consumer fetches.
	Signals
	// OnlyNotices: a sink for people, which never gets a token. Everything is
	// tried with notices, and a token must be refused.
	OnlyNotices
)

// Suite is one kind of sink.
type Suite struct {
	// New returns a sink and its fresh destination, which is missing until
	// Appear is called.
	New func(t *testing.T) Destination
	// Never holds the cases that can't happen to a sink of this kind, each
	// with the reason, for whoever reads it: such a test does not exist, and
	// nothing is skipped.
	Never map[Case]string
	// Carries is what the sink brings.
	Carries Carries
	// Patience is how long is waited for what must arrive; 0: 10 s.
	Patience time.Duration
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
	// Mend puts a destination with a fault right again, after which it must
	// take what it did not take; nil: it is not tried.
	Mend func(t *testing.T)
	// Anew has the consumer end and start again, with nothing of what it had; nil:
	// the sink is no [sink.Recipient].
	Anew func(t *testing.T)
	// Lose has the destination lose all that it holds; nil: the sink is no
	// [sink.Holder].
	Lose func(t *testing.T)
	// Faults are all the other ways in which it can fail, by name.
	Faults map[string]Fault
}

// Fault is one way to fail.
type Fault struct {
	// Case that it is one of; "": one of this sink's own.
	Case Case
	// Set breaks the destination, which has appeared.
	Set func(t *testing.T)
	// Harmless: the delivery must succeed and arrive all the same.
	Harmless bool
	// Want is what the delivery must be by errors.Is; nil: an error that the
	// worker retries.
	Want error
	// RetryAfter that the error must ask for.
	RetryAfter time.Duration
}

// soon is how fast a sink has to return once it should.
const soon = 5 * time.Second

// Run puts the sink through the suite.
func Run(t *testing.T, s Suite) {
	if s.Patience <= 0 {
		s.Patience = 10 * time.Second
	}
	sample := s.New(t)
	for _, c := range Cases() {
		if !applies(c, sample) {
			continue
		}
		if reason, never := s.Never[c]; never {
			if reason == "" {
				t.Errorf("%s: Never gives no reason", c)
			}
			continue
		}
		if lack := s.lacks(c, sample); lack != "" {
			t.Errorf("%s: %s, or say in Never why it can't happen to a sink of this kind", c, lack)
			continue
		}
		if run := s.own(c); run != nil {
			t.Run(string(c), run)
		}
	}
	if sample.Hang != nil {
		t.Run("context ends in a hang", s.cancelled)
	}
	if s.Carries == Tokens {
		t.Run("no refresh token unless the document has one", s.fieldPolicy)
	}
	for _, name := range sortedNames(sample.Faults) {
		title := name
		if c := sample.Faults[name].Case; c != "" && string(c) != name {
			title = fmt.Sprintf("%s: %s", c, name)
		}
		t.Run(title, func(t *testing.T) { s.fault(t, name) })
	}
}

// lacks says what the sink's test does not provide for the case.
func (s Suite) lacks(c Case, d Destination) string {
	switch c {
	case Hang:
		if d.Hang == nil {
			return "set Hang"
		}
	case Anew:
		if d.Anew == nil {
			return "set Anew"
		}
	case Loss:
		if d.Lose == nil {
			return "set Lose"
		}
	case Notices:
		if _, ok := d.Sink.(sink.Notifier); !ok {
			return "implement sink.Notifier"
		}
	case Test:
		if _, ok := d.Sink.(sink.Tester); !ok {
			return "implement sink.Tester"
		}
	default:
		if s.own(c) != nil {
			return ""
		}
		for _, f := range d.Faults {
			if f.Case == c {
				return ""
			}
		}
		return "add a Fault of this case"
	}
	return ""
}

// own is what the suite does about a case by itself; nil: it is a Fault.
func (s Suite) own(c Case) func(*testing.T) {
	return map[Case]func(*testing.T){
		Success: s.success, Hang: s.hang, Appearing: s.appearing, Restart: s.restart, AtOnce: s.concurrent,
		EndedFirst: s.cancelledBefore, Notices: s.notices, Test: s.test, Anew: s.anew, Loss: s.loss,
	}[c]
}

func sortedNames(faults map[string]Fault) []string {
	var names []string
	for name := range faults {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
