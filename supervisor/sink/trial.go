package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// typeTest is the type of a notice that a person asked for.
const typeTest event.Type = "test"

// trial shows whether a sink works, as "tokenkeeper sinks test" wants to know.
type trial struct{ *state }

// test shows it, and says in a few words what was tried.
func (p trial) test(ctx context.Context) (done string, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.Policy.Timeout)
	defer cancel()
	tester, can := p.Sink.(Tester)
	switch {
	case p.takes(KindToken) && can:
		done, err = p.withToken(ctx, tester)
	case p.getsAlerts() || p.takes(KindLifecycle):
		done = "sent a notice that is marked as a test"
		err = safely(func() error { return p.notify(ctx, p.notice()) })
		if err == nil {
			p.heard()
		}
	default:
		err = fmt.Errorf("a sink of type %q can't be tested without a delivery; deliver the newest tokens once more with: tokenkeeper sinks redeliver %s", p.Type, p.Name)
	}
	if err != nil {
		return "", fmt.Errorf("sink %q: %w", p.Name, err)
	}
	p.retryAll()
	return done, nil
}

// heard notes that the sink has taken a notice. Events that it did not take are told
// no more, so that nothing else would show it.
func (p trial) heard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.Wall(); p.events != nil && p.events.tried(false, now) > 0 {
		p.totals.succeeded(now, 0)
		p.nudge()
	}
}

// retryAll lets what the sink did not take have its turn now, also what it refused: what
// was in the way is gone. What it has asked to wait for waits.
func (p trial) retryAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disabled.is() {
		return
	}
	p.absence.sign(time.Now(), p.queue)
	for e := range p.open {
		switch {
		case e.refused:
			p.wish(e, onceMore)
		case p.failuresOf(e) > 0:
			e.due = time.Time{}
			p.note(e)
			p.add(e.key)
		}
	}
}

func (p trial) withToken(ctx context.Context, tester Tester) (done string, err error) {
	heads, err := p.Store.Heads(ctx)
	if err != nil && heads == nil {
		return "", fmt.Errorf("can't read the records: %w", err)
	}
	for _, head := range heads {
		if !p.gets(head.Account) {
			continue
		}
		k := key{KindToken, head.Account}
		if !p.queue.Hold(ctx, k) {
			return "", fmt.Errorf("a delivery of account %q is under way and has not ended: %w", head.Account, ctx.Err())
		}
		defer p.queue.Done(k)
		// It may have been refreshed before it was in our hand.
		rec, err := p.Store.Load(ctx, head.Account)
		if err != nil {
			return "", fmt.Errorf("can't read the record of account %q: %w", head.Account, err)
		}
		err = safely(func() (err error) {
			done, err = tester.Test(ctx, p.delivery(rec))
			return err
		})
		return done, err
	}
	return "", errors.New("none of its accounts has a token to test with; what gives each of them one says: tokenkeeper status")
}

func (p trial) notice() Notice {
	now := p.Wall()
	message := fmt.Sprintf("This is a test of sink %q. Nothing is wrong.", p.Name)
	n := Notice{ID: deliveryID(p.Name, "test:"+p.Name, 1, now), Test: true}
	if !p.getsAlerts() {
		n.Kind = KindLifecycle
		n.Event = &event.Event{Type: typeTest, Time: now, Sink: p.Name, Message: message}
		return n
	}
	n.Kind = KindAlert
	n.Alert = &event.Alert{
		Key: string(typeTest) + ":" + p.Name, Type: typeTest, State: event.AlertRaised, Version: 1,
		Sink: p.Name, Message: message, Since: now, ChangedAt: now,
	}
	return n
}
