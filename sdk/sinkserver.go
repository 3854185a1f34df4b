package sdk

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"google.golang.org/grpc"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// SinkServer puts a [Sink] behind the wire contract. [ServeSink] makes one for
// a real process; tests make one over an in-memory connection.
type SinkServer struct {
	pb.UnimplementedSinkServer

	sink Sink
	log  *slog.Logger
	// inFlight are the calls of the sink's code.
	inFlight flights
}

// NewSinkServer serves s.
func NewSinkServer(s Sink, log *slog.Logger) *SinkServer { return &SinkServer{sink: s, log: log} }

// Register adds the service to g.
func (s *SinkServer) Register(g *grpc.Server) { pb.RegisterSinkServer(g, s) }

// Drain refuses new calls and waits for those in flight, until 3 s after their
// deadlines at the latest. It returns whether all have ended.
func (s *SinkServer) Drain() bool { return s.inFlight.drain() }

// Describe implements the wire contract.
func (s *SinkServer) Describe(ctx context.Context, _ *pb.DescribeRequest) (_ *pb.DescribeResponse, err error) {
	defer s.guard(&err)
	d, err := s.sink.DescribeSink(ctx)
	if err != nil {
		return nil, toSinkStatus(err)
	}
	_, d.Restorer = s.sink.(Restorer)
	_, d.Holder = s.sink.(Holder)
	_, d.Tester = s.sink.(Tester)
	_, d.Notifier = s.sink.(Notifier)
	return fromSinkDescription(d), nil
}

// Ping implements the wire contract.
func (s *SinkServer) Ping(context.Context, *pb.PingRequest) (*pb.PingResponse, error) {
	return &pb.PingResponse{}, nil
}

// Deliver implements the wire contract.
func (s *SinkServer) Deliver(ctx context.Context, m *pb.DeliverRequest) (*pb.DeliverResponse, error) {
	r := toDelivery(m)
	err := s.call(ctx, func() error { return s.sink.Deliver(ctx, r) },
		r.Token.AccessToken, r.Token.RefreshToken, r.Token.IDToken, r.Content)
	if err != nil {
		return nil, err
	}
	return &pb.DeliverResponse{}, nil
}

// Restore implements the wire contract.
func (s *SinkServer) Restore(ctx context.Context, m *pb.RestoreRequest) (out *pb.RestoreResponse, _ error) {
	r, ok := s.sink.(Restorer)
	if !ok {
		return nil, toSinkStatus(ErrUnimplemented)
	}
	err := s.call(ctx, func() error {
		restored, err := r.Restore(ctx, toRestore(m))
		out = fromRestored(restored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Holds implements the wire contract.
func (s *SinkServer) Holds(ctx context.Context, m *pb.HoldsRequest) (out *pb.HoldsResponse, _ error) {
	h, ok := s.sink.(Holder)
	if !ok {
		return nil, toSinkStatus(ErrUnimplemented)
	}
	err := s.call(ctx, func() error {
		holding, err := h.Holds(ctx, toHolds(m))
		out = &pb.HoldsResponse{Version: holding.Version}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Test implements the wire contract.
func (s *SinkServer) Test(ctx context.Context, m *pb.TestRequest) (*pb.TestResponse, error) {
	t, ok := s.sink.(Tester)
	if !ok {
		return nil, toSinkStatus(ErrUnimplemented)
	}
	if err := s.call(ctx, func() error { return t.Test(ctx, toTest(m)) }); err != nil {
		return nil, err
	}
	return &pb.TestResponse{}, nil
}

// Notify implements the wire contract.
func (s *SinkServer) Notify(ctx context.Context, m *pb.NotifyRequest) (*pb.NotifyResponse, error) {
	n, ok := s.sink.(Notifier)
	if !ok {
		return nil, toSinkStatus(ErrUnimplemented)
	}
	if err := s.call(ctx, func() error { return n.Notify(ctx, toNotice(m)) }); err != nil {
		return nil, err
	}
	return &pb.NotifyResponse{}, nil
}

// call runs one call of the sink and words its error for the wire.
func (s *SinkServer) call(ctx context.Context, f func() error, secrets ...Secret) (err error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(defaultDeadline)
	}
	if !s.inFlight.begin(deadline) {
		return toSinkStatus(&Error{Kind: KindNotSent, Message: "the sink's process is shutting down"})
	}
	defer s.inFlight.landed()
	defer s.guard(&err)
	if err := f(); err != nil {
		return toSinkStatus(err, secrets...)
	}
	return nil
}

// guard turns a sink's panic into an error. The panic's value may hold a
// token: its type and the place are all that is told.
func (s *SinkServer) guard(err *error) {
	v := recover()
	if v == nil {
		return
	}
	what := fmt.Sprintf("the sink panicked (%T) in %s", v, panicPlace())
	s.log.Error(what, "stack", string(debug.Stack()))
	*err = toSinkStatus(&Error{Kind: KindTransient, Message: what + "; please report it to the author of the plugin"})
}

// panicPlace is the function and line that panicked, for a deferred function
// that has recovered it.
func panicPlace() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for panicking := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			panicking = true
		case panicking && !strings.HasPrefix(f.Function, "runtime."):
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}
