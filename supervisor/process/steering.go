package process

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	sink "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// steering keeps calls from a sink of which a setting names a file that steers it
// and that somebody can change who is not trusted. A provider's are judged by the refresh
// loop, where an attempt begins: what a refusal means for one that is still open,
// this room can't tell. It is safe for concurrent use.
type steering struct {
	trust []int

	mu sync.Mutex
	// settings that steer, as the process has described itself.
	settings []string
}

// steeredConn is a connection whose calls are judged first.
type steeredConn struct {
	grpc.ClientConnInterface
	by *steering
}

// Invoke implements [grpc.ClientConnInterface].
func (c steeredConn) Invoke(ctx context.Context, method string, request, reply any, opts ...grpc.CallOption) error {
	if r, ok := request.(interface{ GetDestination() *sink.Destination }); ok {
		if err := c.by.judge(r.GetDestination().GetSettings()); err != nil {
			return err
		}
	}
	err := c.ClientConnInterface.Invoke(ctx, method, request, reply, opts...)
	if d, ok := reply.(*sink.DescribeResponse); ok && err == nil {
		c.by.learn(d)
	}
	return err
}

func (s *steering) learn(d *sink.DescribeResponse) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings = nil
	for _, setting := range d.GetSettings() {
		if setting.GetSteers() {
			s.settings = append(s.settings, setting.GetName())
		}
	}
}

// judge returns what the sink would say if it refused by itself.
func (s *steering) judge(settings map[string]string) error {
	s.mu.Lock()
	names := slices.Clone(s.settings)
	s.mu.Unlock()
	for _, name := range names {
		if err := Steered(settings[name], s.trust); err != nil {
			text := "nothing goes through this sink: its setting " + name + " is refused: " + err.Error()
			detailed, e := status.New(codes.FailedPrecondition, text).WithDetails(&sink.Failure{Kind: "retry", Message: text})
			return errors.Join(e, detailed.Err())
		}
	}
	return nil
}

// Steered refuses with a [*trust.Refusal] a file that a setting names, whose value
// is "" if it is not set, if somebody can change it beside root, our own user and
// those of trusted, or could put it there while it is missing. Otherwise that it
// is missing is for the plugin to tell.
func Steered(path string, trusted []int) error {
	if path == "" {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return trust.Here().Steered(absolute, trust.Rule{Steers: true, Users: trusted})
}
