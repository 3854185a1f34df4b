package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// How long a verb waits before it looks for a supervisor again: from one to the other,
// doubled each time.
const (
	firstReconnect = 100 * time.Millisecond
	lastReconnect  = 2 * time.Second
)

// askAgain is when a token is asked for again whose trouble no event may end.
const askAgain = 10 * time.Second

// validToken is what "wait --json" prints of the token.
type validToken struct {
	Account         string    `json:"account"`
	Version         uint64    `json:"version"`
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
}

func newWaitCommand(e *env) *cobra.Command {
	var timeout time.Duration
	w := &waiting{env: e}
	cmd := &cobra.Command{
		Use:   "wait ACCOUNT [--timeout D] [--min-valid D]",
		Short: "Wait until an account has a valid token",
		Long: `Wait until an account has a token that has not expired, or with --min-valid one
that lives for longer than that, for which the account is refreshed if need be.
It is for what must not start without one, such as a bot.

It waits for the supervisor too, and outlives its restarts. That there is none,
or that a person has to do something, is said once on stderr; it goes on
waiting. After --timeout the exit code is 3, or 4 if a person has to do
something.`,
		Example: "  tokenkeeper wait schwab-main --timeout 5m && ./bot",
		Args:    exactArgs("ACCOUNT"),

		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.Account = args[0]
			if timeout < 0 || w.MinValid < 0 {
				return usageErrorf("--timeout and --min-valid say how long from now on, and can't be negative")
			}
			got, err := w.within(cmd.Context(), timeout)
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(validToken{got.Account, got.Version, got.Expiry, got.ExpiryUncertain})
			}
			return e.print("%s: v%d expires %s", got.Account, got.Version, ending(got.Expiry, e.now(), got.ExpiryUncertain))
		},
	}
	cmd.Flags().DurationVar(&timeout, "timeout", 0, "wait no longer than this `duration` (default: for ever)")
	cmd.Flags().DurationVar(&w.MinValid, "min-valid", 0, "until one lives for longer than this `duration`")
	return cmd
}

// waiting is who waits for a token of an account that meets a request.
type waiting struct {
	*env
	control.TokenRequest
	// trouble is why there is none; nil: nobody knows of any. Down and person: it was said
	// that no supervisor runs, or that a person has to do something.
	trouble      error
	down, person bool
}

// within is untilValid, for no longer than that; 0: for ever.
func (w *waiting) within(ctx context.Context, timeout time.Duration) (control.TokenAnswer, error) {
	if timeout == 0 {
		return w.untilValid(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return w.inTime(ctx, timeout)
}

// inTime is untilValid while ctx lasts, which is for timeout.
func (w *waiting) inTime(ctx context.Context, timeout time.Duration) (control.TokenAnswer, error) {
	got, err := w.untilValid(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return got, w.late(timeout)
	}
	return got, err
}

// untilValid returns the token when there is one, or why there can't be one.
func (w *waiting) untilValid(ctx context.Context) (control.TokenAnswer, error) {
	for pause := firstReconnect; ; pause = min(2*pause, lastReconnect) {
		c, err := w.client()
		if usage := (*exitError)(nil); errors.As(err, &usage) {
			return control.TokenAnswer{}, err
		}
		if err == nil {
			var got control.TokenAnswer
			var heard bool
			got, heard, err = w.through(ctx, c)
			c.Close()
			switch {
			case err == nil:
				return got, nil
			case ctx.Err() != nil:
				return got, ctx.Err()
			case !passes(err):
				return got, err
			case heard:
				pause = firstReconnect
			}
		}
		w.meets(err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return control.TokenAnswer{}, ctx.Err()
		}
	}
}

// through waits as long as one supervisor runs. heard: there was one.
func (w *waiting) through(ctx context.Context, c *control.Client) (got control.TokenAnswer, heard bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	news, over := make(chan struct{}, 1), make(chan error, 1)
	ring := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		seq := uint64(0)
		over <- c.Events(ctx, ring, func(ev event.Event) error {
			if ev.Account == w.Account || seq != 0 && ev.Seq != seq+1 { // or one was missed
				ring()
			}
			seq = ev.Seq
			return nil
		})
	}()
	defer func() { cancel(); <-done }()
	again := time.NewTimer(lastReconnect)
	again.Stop()
	for {
		select {
		case err := <-over:
			return got, heard, err
		case <-news:
		case <-again.C:
		}
		heard = true
		got, err := c.UsableToken(ctx, w.TokenRequest)
		if err == nil || !answeredBySupervisor(err) {
			return got, heard, err
		}
		after, err := w.refused(err)
		if err != nil {
			return got, heard, err
		}
		if again.Stop(); after > 0 {
			again.Reset(after)
		}
	}
}

// refused says after how long it is worth asking again; 0: only something that happens
// helps. An error is one that nothing helps.
func (w *waiting) refused(err error) (time.Duration, error) {
	refused, _ := errors.AsType[*control.Error](err)
	switch refused.Code {
	case control.CodeNeedsLogin, control.CodePaused, control.CodeNoToken, control.CodeAnotherPerson:
		w.meets(err)
		return 0, nil
	case control.CodeNeedsPerson: // of what he does nothing may be told of the account
		w.meets(err)
		return askAgain, nil
	case control.CodeNotYet:
		w.trouble = err
		return max(refused.RetryAt.Sub(w.now()), time.Second), nil
	case control.CodeUnavailable, control.CodeConflict, control.CodeInternal:
		w.trouble = err
		return askAgain, nil
	}
	return 0, err
}

// meets notes why there is no token, and says so once of each kind.
func (w *waiting) meets(err error) {
	w.trouble = err
	said := &w.down
	if answeredBySupervisor(err) {
		said = &w.person
	}
	if !*said {
		w.warn("%v; waiting", err)
	}
	*said = true
}

// late is that the time is over.
func (w *waiting) late(timeout time.Duration) error {
	if w.trouble == nil {
		return &exitError{exitLater, fmt.Errorf("account %s: no valid token within %s", w.Account, timeout)}
	}
	err := fmt.Errorf("no valid token within %s: %w", timeout, w.trouble)
	if code := (*exitError)(nil); errors.As(unusable(err), &code) {
		return &exitError{code.code, err}
	}
	return &exitError{exitLater, err}
}

// passes says whether a trouble with the way to the supervisor passes when one starts.
func passes(err error) bool { return errors.Is(err, control.ErrNotRunning) || control.Ended(err) }
