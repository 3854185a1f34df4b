// Package redis is the sink that keeps an account's newest token under a key
// of a Redis server and publishes it on a channel, in one step. README.md says
// what is guaranteed.
//
// The commands: https://redis.io/docs/latest/commands/
package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Sink is the sink for [sdk.ServeSink]. It keeps nothing between calls: each
// delivery has a connection of its own, so that none is ever stale and a
// server that restarts costs nothing.
type Sink struct {
	// now is the wall clock.
	now func() time.Time
	// dial connects to Unix sockets.
	dial Dial
}

var (
	_ sdk.Sink     = (*Sink)(nil)
	_ sdk.Restorer = (*Sink)(nil)
	_ sdk.Holder   = (*Sink)(nil)
	_ sdk.Tester   = (*Sink)(nil)
)

// New returns the sink, which connects to Unix sockets by dial. The client library logs nothing from then on: all that
// it has to say is in the errors.
func New(dial Dial) *Sink {
	goredis.SetLogger(&logging.VoidLogger{})
	return &Sink{now: time.Now, dial: dial}
}

// DescribeSink implements [sdk.Sink].
func (s *Sink) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "redis", Version: "1.0.0", Settings: describeSettings()}, nil
}

func (s *Sink) settings(from sdk.Settings, account, provider string) (settings, error) {
	set, err := readSettings(from, account, provider)
	set.dial = s.dial
	return set, err
}

// Deliver implements [sdk.Sink].
func (s *Sink) Deliver(ctx context.Context, req sdk.DeliverRequest) error {
	set, err := s.settings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return fmt.Errorf("%w: %w", sdk.ErrRefused, err)
	}
	mark := mark{version: req.Version, issued: req.Token.IssuedAt, stored: s.now(), account: req.Account}
	var answer []string
	err = set.with(ctx, func(c *goredis.Client) (err error) {
		answer, err = storeScript.Eval(ctx, c, []string{set.key, set.markKey()},
			req.Content.Reveal(), lifeLeft(set.ttl, req.Token, mark.stored), mark.String(), set.channel,
			strconv.FormatUint(mark.version, 10), milliseconds(mark.issued), mark.account).StringSlice()
		return err
	})
	if err != nil {
		return set.explain(ctx, "write", err)
	}
	return set.outcome(answer)
}

// outcome is what the script found.
func (s settings) outcome(answer []string) error {
	if len(answer) != 2 {
		return fmt.Errorf("%s: the server's answer can't be read", s)
	}
	switch answer[0] {
	case "stored":
		return nil
	case "newer":
		return fmt.Errorf("%w: %s holds a newer token, of another supervisor or from before this one's store was set back; "+
			"if it has to go, delete the keys %s and %s", sdk.ErrRefused, s, s.key, s.markKey())
	case "account":
		return fmt.Errorf("%w: %s holds the token of account %s: put {account} into the setting %s; "+
			"if that is this account's former name, delete the keys %s and %s",
			sdk.ErrRefused, s, answer[1], settingKey, s.key, s.markKey())
	default:
		return fmt.Errorf("%w: the key %s, which has to hold the version of what is in %s, is another program's: change the setting %s",
			sdk.ErrRefused, s.markKey(), s.key, settingKey)
	}
}

// Restore implements [sdk.Restorer]. After the lifetime that the setting ttl
// gives, there is nothing to restore.
func (s *Sink) Restore(ctx context.Context, req sdk.RestoreRequest) (sdk.Restored, error) {
	set, err := s.settings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return sdk.Restored{}, err
	}
	var content, text string
	err = set.with(ctx, func(c *goredis.Client) error {
		if content, err = c.Get(ctx, set.key).Result(); err != nil {
			return err
		}
		text, err = c.Get(ctx, set.markKey()).Result()
		if errors.Is(err, goredis.Nil) {
			return nil
		}
		return err
	})
	if errors.Is(err, goredis.Nil) || err == nil && content == "" {
		return sdk.Restored{}, fmt.Errorf("%s: %w", set, sdk.ErrNothingStored)
	}
	if err != nil {
		return sdk.Restored{}, set.explain(ctx, "read", err)
	}
	m, ok := parseMark(text)
	if ok && m.account != req.Account {
		return sdk.Restored{}, fmt.Errorf("%s: %w: its token is of account %s", set, sdk.ErrNothingStored, m.account)
	}
	return sdk.Restored{Content: sdk.NewSecret(content), StoredAt: m.stored}, nil
}

// Holds implements [sdk.Holder] with the version that stands beside the token, which
// itself stays at the server. That a token is gone whose time (ttl) is over tells
// nothing; nor does a lower version that came after ours: it is another supervisor's,
// whose store was set up anew, and ours must not be written over it for that.
func (s *Sink) Holds(ctx context.Context, req sdk.HoldsRequest) (sdk.Holding, error) {
	set, err := s.settings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return sdk.Holding{}, err
	}
	var answer []string
	err = set.with(ctx, func(c *goredis.Client) (err error) {
		answer, err = holdsScript.Eval(ctx, c, []string{set.key, set.markKey()}).StringSlice()
		return err
	})
	if err != nil {
		return sdk.Holding{}, set.explain(ctx, "read", err)
	}
	m, ours := mark{}, false
	if len(answer) == 1 {
		m, ours = parseMark(answer[0])
	}
	switch {
	case len(answer) == 1 && !ours:
		return sdk.Holding{}, sdk.ErrUnimplemented // another program's
	case ours && m.account == req.Account && m.version < req.Version && m.stored.After(req.DeliveredAt):
		return sdk.Holding{}, sdk.ErrUnimplemented
	case ours && m.account == req.Account:
		return sdk.Holding{Version: m.version}, nil
	case !ours && set.ttl.fixed > 0 && s.now().Sub(req.DeliveredAt) >= set.ttl.fixed:
		return sdk.Holding{}, sdk.ErrUnimplemented
	}
	return sdk.Holding{}, fmt.Errorf("%s: %w", set, sdk.ErrNothingStored)
}

// Test implements [sdk.Tester]: it logs in, asks for the permissions that a
// delivery needs, and makes a write that changes nothing.
func (s *Sink) Test(ctx context.Context, req sdk.TestRequest) error {
	set, err := s.settings(req.Settings, req.Account, req.Provider)
	if err != nil {
		return err
	}
	var denied []string
	err = set.with(ctx, func(c *goredis.Client) (err error) {
		denied, err = testScript.Eval(ctx, c, []string{set.key, set.markKey()}, set.channel).StringSlice()
		return err
	})
	if err != nil {
		return set.explain(ctx, "test", err)
	}
	if len(denied) > 0 {
		return fmt.Errorf("%s: the user may not %v: %s", set, denied, set.permissions())
	}
	return nil
}
