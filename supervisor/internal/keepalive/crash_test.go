package keepalive_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/keepalive"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// crashing is a process that a call of one account ends, with all that it was asked
// beside.
type crashing struct {
	*desk
	killer string
	ended  chan struct{} // closed when it has
}

func (c crashing) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	answered := make(chan struct{})
	var life sdk.Life
	var err error
	if req.Account.Name == c.killer {
		c.set(func() { c.calls[c.killer] = append(c.calls[c.killer], time.Now()) })
		time.Sleep(time.Millisecond)
		close(c.ended)
	} else {
		go func() { defer close(answered); life, err = c.desk.KeepAlive(ctx, req) }()
	}
	select {
	case <-c.ended:
		return "", fmt.Errorf("%w: EOF", sdk.ErrConnection)
	case <-answered:
		return life, err
	}
}

// A call that ends the process each time is told of, ever more rarely made, and those
// that were under way beside it are kept all the same.
func TestCallThatEndsTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for n := range 40 {
			names = append(names, fmt.Sprintf("a%02d", n))
		}
		d := newDesk(time.Minute, names...)
		d.takes = 2 * time.Second
		b := newBeats(d, time.Now)
		killer := names[20]
		over := time.Now().Add(4 * time.Hour)
		quarter := time.Now()
		for time.Now().Before(over) {
			process := crashing{d, killer, make(chan struct{})}
			stop := run(t, b, process)
			select {
			case <-process.ended:
				time.Sleep(time.Millisecond)
			case <-time.After(time.Until(over)):
			}
			stop()
			time.Sleep(time.Second) // the next one starts
			if time.Since(quarter) > 15*time.Minute {
				quarter = time.Now()
				for _, name := range names {
					if s := session(t, b, name); name != killer && (s.Life != sdk.Alive || s.Unheard != "" || time.Since(s.Heard) > 3*time.Minute) {
						t.Errorf("after %s, %s: %+v", time.Until(over), name, s)
					}
				}
			}
		}
		if n := d.called(killer); n < 8 || n > 11 {
			t.Errorf("%d calls of the one that ends the process in four hours", n)
		}
		if s := session(t, b, killer); s.Unheard == "" || s.Failures < 8 {
			t.Errorf("it is not told of: %+v", s)
		}
		run(t, b, d)
		time.Sleep(time.Hour + time.Minute)
		if s := session(t, b, killer); s.Life != sdk.Alive || s.Failures > 0 || s.Unheard != "" {
			t.Errorf("it ends no process any more: %+v", s)
		}
	})
}

// What says that it is not available, in words of its own, has not answered.
func TestUnavailableProviderIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(time.Minute, "main")
		d.err["main"] = fmt.Errorf("%w: the broker is away", sdk.ErrConnection)
		b := beating(t, d)
		time.Sleep(10 * time.Minute)
		if s, n := session(t, b, "main"), d.called("main"); s.Unheard == "" || n < 10 {
			t.Errorf("%d calls: %+v", n, s)
		}
		d.set(func() { delete(d.err, "main") })
		time.Sleep(time.Minute + time.Second) // the next call may come with the minute's last instant
		if s := session(t, b, "main"); s.Life != sdk.Alive || s.Unheard != "" {
			t.Errorf("%+v", s)
		}
	})
}

// late is a desk at which an account is looked up for longer than its generation lasts.
type late struct{ *desk }

func (l late) Session(name string) (a sdk.Account, rec store.Record, ok bool, err error) {
	time.Sleep(3 * time.Second)
	return l.desk.Session(name)
}

// What is left of an earlier generation neither asks nor plans anything in the next.
func TestStragglerCountsForNothing(t *testing.T) {
	for name, refused := range map[string]bool{"would ask": false, "would plan": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(10*time.Second, "main")
				d.takes = 9 * time.Second
				b := keepalive.New(configOf(late{d}, time.Now, "main"))
				stop := run(t, b, d)
				time.Sleep(2 * time.Second)
				stop()
				d.set(func() { d.busy["main"] = refused })
				stop = run(t, b, d)
				time.Sleep(2 * time.Second)
				d.set(func() { d.busy["main"] = false })
				time.Sleep(time.Minute)
				if n := d.called("main"); d.most != 1 || n > 5 {
					t.Errorf("%d calls in a minute, %d at once", n, d.most)
				}
				stop()
				time.Sleep(3 * time.Second) // until nobody is looked up any more
			})
		})
	}
}
