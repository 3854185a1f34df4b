package sdk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// resetting answers each call as the other end does that resets it.
type resetting struct{ grpc.ClientConnInterface }

func (resetting) Invoke(context.Context, string, any, any, ...grpc.CallOption) error {
	return status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL")
}

// untold has a deadline of which its timer has not told yet.
type untold struct {
	context.Context
	deadline time.Time
}

func (c untold) Deadline() (time.Time, bool) { return c.deadline, true }

// The other end resets a call at its deadline, a moment before our own timer
// tells of that: nothing is wrong with the connection.
func TestResetAtTheDeadlineIsNoLostConnection(t *testing.T) {
	now := time.Now()
	for name, call := range map[string]func(context.Context) error{
		"provider": func(ctx context.Context) error { return NewRemote(resetting{}).Ping(ctx) },
		"session": func(ctx context.Context) error {
			_, err := NewRemote(resetting{}).KeepAlive(ctx, KeepaliveRequest{})
			return err
		},
		"sink": func(ctx context.Context) error {
			return (&answer{ctx: ctx}).failure(resetting{}.Invoke(ctx, "", nil, nil))
		},
	} {
		if err := call(untold{t.Context(), now}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrConnection) {
			t.Errorf("%s, at the deadline: %v", name, err)
		}
		if err := call(untold{t.Context(), now.Add(time.Hour)}); !errors.Is(err, ErrConnection) {
			t.Errorf("%s, long before: %v", name, err)
		}
	}
}

// beating keeps sessions alive as its function says.
type beating struct {
	Provider
	beat func(context.Context) error
}

func (b beating) KeepAlive(ctx context.Context, _ KeepaliveRequest) (Life, error) {
	return Alive, b.beat(ctx)
}

// A provider that returns at the end of the call's time with that alone has not
// answered, however close its return is to the end of the call: it is no failure that
// it tells of.
func TestEndOfACallIsNoAnswer(t *testing.T) {
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	told := untold{t.Context(), time.Now()}
	failed := &Error{Kind: KindTransient, Message: "the broker answered HTTP 503"}
	for name, tt := range map[string]struct {
		ctx  context.Context
		err  error
		want codes.Code
		kind Kind // "": no failure is told
	}{
		"the time is over":          {past, context.DeadlineExceeded, codes.DeadlineExceeded, ""},
		"wrapped":                   {past, fmt.Errorf("ask the broker: %w", context.DeadlineExceeded), codes.DeadlineExceeded, ""},
		"before the timer tells":    {told, context.DeadlineExceeded, codes.DeadlineExceeded, ""},
		"nobody waits any more":     {gone, context.Canceled, codes.Canceled, ""},
		"its own time was over":     {t.Context(), context.DeadlineExceeded, codes.Unavailable, KindTransient},
		"its own failure":           {past, failed, codes.Unavailable, KindTransient},
		"a failure by the end":      {past, errors.Join(failed, context.DeadlineExceeded), codes.Unavailable, KindTransient},
		"something else at the end": {past, errors.New("the broker hung up"), codes.Unavailable, KindTransient},
	} {
		s := NewServer(beating{beat: func(context.Context) error { return tt.err }}, func() (*spool.Spool, error) { return nil, errors.New("none") }, slog.New(slog.DiscardHandler))
		_, err := s.KeepAlive(tt.ctx, &pb.KeepAliveRequest{})
		said, failure := (*Error)(nil), Kind("")
		if errors.As(fromStatus(err), &said) {
			failure = said.Kind
		}
		if status.Code(err) != tt.want || failure != tt.kind {
			t.Errorf("%s: %v, told as %q", name, err, failure)
		}
	}
}
