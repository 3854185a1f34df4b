package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"time"
)

// How long Watch waits before it connects again: from one to the other,
// doubled each time.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
)

// Watch gives the account's newest token at once, also if it has expired, and
// then each new one as it becomes durable, until ctx ends or the loop is left:
//
//	for tok, err := range c.Watch(ctx, "schwab-main") {
//		if err != nil {
//			log.Warn("the token is not to be had", "error", err)
//			continue
//		}
//		use(tok)
//	}
//
// It outlives restarts of the supervisor: it connects again, by and by more
// slowly, up to every 5 s. An error is one trouble that began; it is given
// once, Watch goes on trying, and the next token says that it is over. Leave
// the loop at an error that is final for the program. A loop that takes its
// time is never given an old token afterwards, but then misses the versions in
// between.
func (c *Client) Watch(ctx context.Context, account string) iter.Seq2[Token, error] {
	return func(yield func(Token, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		w := &watch{client: c, account: account, yield: func(tok Token, err error) bool {
			if !yield(tok, err) {
				cancel()
			}
			return ctx.Err() == nil
		}}
		w.run(ctx)
	}
}

// watch is one loop over an account's tokens.
type watch struct {
	client  *Client
	account string
	// yield returns false when the loop is over.
	yield func(Token, error) bool

	version uint64 // that was given last
	trouble string // that was told last and lasts
}

func (w *watch) run(ctx context.Context) {
	pause := firstPause
	for {
		connected, err := w.follow(ctx)
		if ctx.Err() != nil || err != nil && !w.tell(err) {
			return
		}
		if connected {
			pause = firstPause
		}
		// Up to a quarter more, so that many consumers do not come at once.
		wait := time.NewTimer(pause + rand.N(pause/4))
		select {
		case <-ctx.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		pause = min(2*pause, lastPause)
	}
}

// notice is what counts of an event.
type notice struct {
	Seq     uint64 `json:"seq"`
	Account string `json:"account"`
	Version uint64 `json:"version"`
}

// follow reads the token now and at every event about the account until the
// connection ends, which alone is no error: a supervisor that restarts ends it
// too.
func (w *watch) follow(ctx context.Context) (connected bool, err error) {
	// No later event can be missed once this has returned, and so no token
	// that is newer than the one that is then read.
	stream, err := w.client.send(ctx, request{w.client.http, w.client.timeout, http.MethodGet, "/v1/events"})
	if err != nil {
		return false, fmt.Errorf("account %s: %w", w.account, err)
	}
	defer func() { _ = stream.Close() }()
	if err := w.read(ctx); err != nil {
		return false, err
	}
	events := json.NewDecoder(stream)
	var seq uint64
	for {
		var n notice
		if err := events.Decode(&n); err != nil {
			return true, nil
		}
		missed := seq != 0 && n.Seq != seq+1 // this reader was too slow
		seq = n.Seq
		if missed || n.Account == w.account && (n.Version == 0 || n.Version != w.version) {
			if err := w.read(ctx); err != nil {
				return true, err
			}
		}
	}
}

// read asks for the token and gives it to the loop if it is another one. That
// there is none is told, and an event will say when there is; any other
// trouble ends the connection.
func (w *watch) read(ctx context.Context) error {
	tok, err := w.client.Token(ctx, w.account)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrNoToken), errors.Is(err, ErrNoAccount):
		if !w.tell(err) {
			return ctx.Err()
		}
		return nil
	case err != nil:
		return err
	}
	if tok.Version == w.version && w.trouble == "" {
		return nil
	}
	w.version, w.trouble = tok.Version, ""
	if !w.yield(tok, nil) {
		return ctx.Err()
	}
	return nil
}

// tell gives the loop a trouble that it does not know of, and says whether the
// loop goes on.
func (w *watch) tell(err error) bool {
	if err.Error() == w.trouble {
		return true
	}
	w.trouble = err.Error()
	return w.yield(Token{}, err)
}

// WaitValid returns the account's newest token as soon as it lives for more
// than margin from now on: at once if it does, else when the supervisor has
// refreshed it, has been started, or somebody has logged in. It waits as long
// as ctx does, and its error then wraps both ctx's and the reason, such as
// [ErrExpired]. [ErrNoAccount] and [ErrForbidden] are returned at once. A
// margin longer than an access token's life is never met.
func (c *Client) WaitValid(ctx context.Context, account string, margin time.Duration) (Token, error) {
	var reason error
	for tok, err := range c.Watch(ctx, account) {
		switch {
		case errors.Is(err, ErrNoAccount), errors.Is(err, ErrForbidden):
			return Token{}, err
		case err != nil:
			reason = err
		case tok.ValidFor(margin):
			return tok, nil
		default:
			reason = expired(account, tok, margin)
		}
	}
	if reason == nil {
		return Token{}, fmt.Errorf("account %s: waiting for a token: %w", account, context.Cause(ctx))
	}
	return Token{}, fmt.Errorf("%w; waiting for a better one ended: %w", reason, context.Cause(ctx))
}

// expired says that a token is not good for long enough.
func expired(account string, tok Token, margin time.Duration) error {
	ask := ""
	if margin > 0 {
		ask = fmt.Sprintf(" and %s are asked for", margin)
	}
	return fmt.Errorf("account %s: %w: version %d ends at %s%s; \"tokenkeeper status\" says why there is no newer one",
		account, ErrExpired, tok.Version, tok.Expiry.UTC().Format(time.RFC3339), ask)
}
