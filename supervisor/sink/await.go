package sink

import (
	"context"
	"errors"
	"time"
)

// await lets a sink that can tell when its consumer comes do so, after a try
// that found it absent.
func (w *Worker) await(ctx context.Context, o outcome, signs chan<- error) {
	waiter, can := w.cfg.Sink.(Waiter)
	if !can || !errors.Is(o.err, ErrAbsent) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.absence.present() || w.absence.stop != nil || w.disabled.is() {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	w.absence.stop = cancel
	go func() {
		err := safely(func() error { return waiter.Await(ctx) })
		if ctx.Err() != nil {
			return // nobody awaits it any more
		}
		select {
		case signs <- err:
		case <-ctx.Done():
		}
	}()
}

// signed takes what Await returned.
func (w *Worker) signed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.absence.endAwait()
		return
	}
	w.absence.sign(time.Now())
}

func (w *Worker) endAwait() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absence.endAwait()
}
