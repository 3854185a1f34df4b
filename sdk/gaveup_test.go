package sdk

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
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
