package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/authorities"
)

// maxTold is how many notices a target remembers having told while another
// target still lacks them.
const maxTold = 256

// target is one URL. One message at a time is on its way there: some of the
// library's services ignore every deadline, and so a receiver that takes the
// connection and never answers costs one goroutine, and not one for each
// message.
type target struct {
	number  int
	service string
	url     sdk.Secret
	titled  bool
	// free holds a value while no message is on its way.
	free chan struct{}

	mu    sync.Mutex
	since time.Time // of the message on its way
	told  map[string]struct{}
	order []string // of told, oldest first
}

// newTarget is for a URL that [Check] let pass.
func newTarget(number int, address sdk.Secret) *target {
	t := &target{number: number, url: address, free: make(chan struct{}, 1), told: map[string]struct{}{}}
	t.free <- struct{}{}
	if u, err := url.Parse(address.Reveal()); err == nil {
		t.service = serviceOf(u)
		t.titled = showsTitle(t.service, u.Query())
	}
	return t
}

// name says which URL it is without a word of it.
func (t *target) name(of int) string {
	if of == 1 {
		return t.service
	}
	return fmt.Sprintf("%s (URL %d)", t.service, t.number)
}

// tell sends the message unless the notice has been told. It returns soon after
// ctx ends. A message that is on its way then goes on: if it arrives after all,
// it counts as told.
func (t *target) tell(ctx context.Context, id string, m message) error {
	if t.has(id) {
		return nil
	}
	select {
	case <-t.free:
	case <-ctx.Done():
		return fmt.Errorf("the message before this one has been on its way for %s: the receiver neither takes nor refuses it", t.busyFor().Round(time.Second))
	}
	if t.has(id) { // the try before arrived late
		t.free <- struct{}{}
		return nil
	}
	t.begin()
	done := make(chan error, 1)
	go func() {
		err := t.send(ctx, m)
		if err == nil {
			t.note(id)
		}
		t.free <- struct{}{}
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("no answer in time")
	}
}

// send makes one try through the library. The service is made anew for each
// message, because some keep parts of the one before, e.g. its title.
func (t *target) send(ctx context.Context, m message) (err error) {
	defer func() {
		if recover() != nil { // the value could hold the URL
			err = errors.New("the code that talks to this service panicked; please report it")
		}
	}()
	// The URL was checked: what fails here is a login at the service.
	service, err := new(router.ServiceRouter).Locate(t.url.Reveal())
	if err != nil {
		return explain(err)
	}
	_ = authorities.BelieveMachine() // most services make their connections themselves
	bind(ctx, service)
	text, params := m.forService(t.service, t.titled)
	return explain(service.Send(text, &params))
}

func (t *target) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.since = time.Now()
}

func (t *target) busyFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.since)
}

func (t *target) has(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, told := t.told[id]
	return told
}

func (t *target) note(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[id] = struct{}{}
	t.order = append(t.order, id)
	if len(t.order) > maxTold {
		delete(t.told, t.order[0])
		t.order = slices.Delete(t.order, 0, 1)
	}
}

func (t *target) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.told, id)
	t.order = slices.DeleteFunc(t.order, func(told string) bool { return told == id })
}

// serviceOf is the library's name of the service that a URL names.
func serviceOf(u *url.URL) string {
	name, _, _ := strings.Cut(u.Scheme, "+")
	return strings.ToLower(name)
}
