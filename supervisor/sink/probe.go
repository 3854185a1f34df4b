package sink

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// typeTest is the type of a notice that a person asked for.
const typeTest event.Type = "test"

// Test shows whether the sink works, without giving anybody a token that is
// not the newest: a sink that is a [Tester] is asked to show it with the newest
// token of its first account, and one that takes notices is sent one that says
// that it is a test. done says in a few words what was tried. A sink that is
// disabled is tested all the same.
func (w *Worker) Test(ctx context.Context) (done string, err error) {
	ctx, cancel := context.WithTimeout(ctx, w.policy.Timeout)
	defer cancel()
	tester, can := w.cfg.Sink.(Tester)
	switch {
	case w.tokens != nil && can:
		done, err = w.testWith(ctx, tester)
	case w.alerts != nil || w.lifecycle != nil:
		done = "sent a notice that is marked as a test"
		err = safely(func() error { return w.notify(ctx, w.testNotice()) })
	default:
		err = fmt.Errorf("a sink of type %q can't be tested without a delivery; deliver the newest tokens once more with: tokenkeeper sinks redeliver %s", w.cfg.Type, w.cfg.Name)
	}
	if err != nil {
		return "", fmt.Errorf("sink %q: %w", w.cfg.Name, err)
	}
	return done, nil
}

func (w *Worker) testWith(ctx context.Context, tester Tester) (done string, err error) {
	heads, err := w.cfg.Store.Heads(ctx)
	if err != nil && heads == nil {
		return "", fmt.Errorf("can't read the records: %w", err)
	}
	for _, head := range heads {
		if !w.Takes(head.Account) {
			continue
		}
		if !w.gates.enter(ctx, head.Account) {
			return "", fmt.Errorf("a delivery of account %q is under way and has not ended: %w", head.Account, ctx.Err())
		}
		defer w.gates.leave(head.Account)
		// It may have been refreshed while the gate was closed.
		rec, err := w.cfg.Store.Load(ctx, head.Account)
		if err != nil {
			return "", fmt.Errorf("can't read the record of account %q: %w", head.Account, err)
		}
		err = safely(func() (err error) {
			done, err = tester.Test(ctx, w.delivery(rec))
			return err
		})
		return done, err
	}
	return "", errors.New("none of its accounts has a token to test with; what gives each of them one says: tokenkeeper status")
}

func (w *Worker) testNotice() Notice {
	now := w.cfg.Wall()
	message := fmt.Sprintf("This is a test of sink %q. Nothing is wrong.", w.cfg.Name)
	n := Notice{ID: deliveryID(w.cfg.Name, "test:"+w.cfg.Name, 1, now), Test: true}
	if w.alerts == nil {
		n.Kind = KindLifecycle
		n.Event = &event.Event{Type: typeTest, Time: now, Sink: w.cfg.Name, Message: message}
		return n
	}
	n.Kind = KindAlert
	n.Alert = &event.Alert{
		Key: string(typeTest) + ":" + w.cfg.Name, Type: typeTest, State: event.AlertRaised, Version: 1,
		Sink: w.cfg.Name, Message: message, Since: now, ChangedAt: now,
	}
	return n
}
