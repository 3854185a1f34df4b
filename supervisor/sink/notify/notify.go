// Package notify is the sink for people: chat, mail, push and on-call services,
// through the services of the shoutrrr library
// (https://shoutrrr.nickfedor.com/services/overview/). It tells of alerts and
// events, and is never given a token.
//
// The addresses of that library hold passwords, and its errors quote them. So
// nothing of an address, and nothing that the library says, gets out of this
// package: not in an error, and not in a log.
package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// DefaultTimeout of one try.
const DefaultTimeout = 10 * time.Second

// Config is one notify sink.
type Config struct {
	// URLs of the library, e.g. ntfy://ntfy.sh/topic; each gets every notice.
	URLs []sdk.Secret
	// Timeout of one try; 0: [DefaultTimeout].
	Timeout time.Duration
	// Host is what messages call this machine; "": its host name.
	Host string
}

// Sink tells people. It is safe for concurrent use.
type Sink struct {
	targets []*target
	address string
	timeout time.Duration
	host    string
}

// New returns a Sink, or says which URL is not as its service wants it.
// Nothing is sent.
func New(cfg Config) (*Sink, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("notify: there is no URL to tell anybody at; list at least one under urls")
	}
	bindDefault()
	s := &Sink{timeout: cfg.Timeout, host: cfg.Host}
	if s.timeout <= 0 {
		s.timeout = DefaultTimeout
	}
	if s.host == "" {
		s.host, _ = os.Hostname() // a machine without a name goes without
	}
	var urls []string
	for i, u := range cfg.URLs {
		if err := Check(u.Reveal()); err != nil {
			return nil, fmt.Errorf("notify: URL %d of %d: %w", i+1, len(cfg.URLs), err)
		}
		s.targets = append(s.targets, newTarget(i+1, u))
		urls = append(urls, sink.URLAddress(u.Reveal()))
	}
	slices.Sort(urls)
	s.address = sink.AddressOf("notify", urls...)
	return s, nil
}

// Address implements [sink.Addressed]: all of the URLs, whose alerts are noted as one.
func (s *Sink) Address() string { return s.address }

// Deliver implements [sink.Sink]: it refuses.
func (s *Sink) Deliver(context.Context, sink.Delivery) error {
	return fmt.Errorf("a notify sink is for alerts and never given a token; let it have \"events: [alert]\": %w", sink.ErrRefused)
}

// Notify implements [sink.Notifier]. A notice that some of the URLs took is not
// told there again when it is tried again, under the same ID, for the others.
// It returns soon after ctx ends. Not every service of the library heeds that:
// what is on its way then goes on, and until it has ended nothing more is sent
// to that URL.
func (s *Sink) Notify(ctx context.Context, n sink.Notice) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if ctx.Err() != nil {
		return fmt.Errorf("nobody was told: %w", ctx.Err())
	}
	m := compose(n, s.host)
	failed := make([]error, len(s.targets))
	var all sync.WaitGroup
	for i, t := range s.targets {
		all.Go(func() { failed[i] = t.tell(ctx, n.ID, m) })
	}
	all.Wait()
	err := s.sum(failed)
	if err == nil {
		for _, t := range s.targets {
			t.forget(n.ID) // nobody is going to try it again
		}
	}
	return err
}

// sum makes one error of what each URL came to.
func (s *Sink) sum(failed []error) error {
	var texts []string
	busy := false
	for i, err := range failed {
		if err == nil {
			continue
		}
		busy = busy || errors.Is(err, errTooMany)
		texts = append(texts, s.targets[i].name(len(s.targets))+": "+err.Error())
	}
	if len(texts) == 0 {
		return nil
	}
	err := errors.New(strings.Join(texts, "; "))
	if told := len(s.targets) - len(texts); told > 0 {
		err = fmt.Errorf("%d of %d were told, but %w", told, len(s.targets), err)
	}
	if busy {
		return &sink.RetryAfterError{After: tooManyPause, Err: err}
	}
	return err
}
