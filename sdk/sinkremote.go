package sdk

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// RemoteSink is a [Sink] at the other end of a connection, as the supervisor
// sees it. It implements every optional interface; a call that the sink does
// not answer returns [ErrUnimplemented]. Errors of the connection itself are
// [ErrConnection]. The sink's own errors keep their meaning: errors.Is holds
// for [ErrAbsent], [ErrGone], [ErrRefused] and [ErrNothingStored], and
// errors.As finds an [*Error] with what the destination said.
type RemoteSink struct{ rpc pb.SinkClient }

var (
	_ Sink     = (*RemoteSink)(nil)
	_ Restorer = (*RemoteSink)(nil)
	_ Holder   = (*RemoteSink)(nil)
	_ Tester   = (*RemoteSink)(nil)
	_ Notifier = (*RemoteSink)(nil)
)

// NewRemoteSink speaks the wire contract over conn.
func NewRemoteSink(conn grpc.ClientConnInterface) *RemoteSink {
	return &RemoteSink{rpc: pb.NewSinkClient(conn)}
}

// DescribeSink implements [Sink].
func (r *RemoteSink) DescribeSink(ctx context.Context) (SinkDescription, error) {
	a := answer{ctx: ctx}
	m, err := r.rpc.Describe(ctx, &pb.DescribeRequest{}, a.options()...)
	if err != nil {
		return SinkDescription{}, a.failure(err)
	}
	return toSinkDescription(m), nil
}

// Ping asks for a sign of life.
func (r *RemoteSink) Ping(ctx context.Context) error {
	a := answer{ctx: ctx}
	_, err := r.rpc.Ping(ctx, &pb.PingRequest{}, a.options()...)
	return a.failure(err)
}

// Deliver implements [Sink].
func (r *RemoteSink) Deliver(ctx context.Context, req DeliverRequest) error {
	a := answer{ctx: ctx}
	_, err := r.rpc.Deliver(ctx, fromDelivery(req), a.options()...)
	return a.failure(err)
}

// Restore implements [Restorer].
func (r *RemoteSink) Restore(ctx context.Context, req RestoreRequest) (Restored, error) {
	a := answer{ctx: ctx}
	m, err := r.rpc.Restore(ctx, fromRestore(req), a.options()...)
	if err != nil {
		return Restored{}, a.failure(err)
	}
	return toRestored(m), nil
}

// Holds implements [Holder].
func (r *RemoteSink) Holds(ctx context.Context, req HoldsRequest) (Holding, error) {
	a := answer{ctx: ctx}
	m, err := r.rpc.Holds(ctx, fromHolds(req), a.options()...)
	if err != nil {
		return Holding{}, a.failure(err)
	}
	return Holding{Version: m.GetVersion()}, nil
}

// Test implements [Tester].
func (r *RemoteSink) Test(ctx context.Context, req TestRequest) error {
	a := answer{ctx: ctx}
	_, err := r.rpc.Test(ctx, fromTest(req), a.options()...)
	return a.failure(err)
}

// Notify implements [Notifier].
func (r *RemoteSink) Notify(ctx context.Context, req NotifyRequest) error {
	a := answer{ctx: ctx}
	_, err := r.rpc.Notify(ctx, fromNotice(req), a.options()...)
	return a.failure(err)
}

// answer is what shows who ended a call. gRPC's own status for a lost
// connection is UNAVAILABLE, which is also what a sink may say whose
// destination is away, and CANCELLED if it was closed at this end, which is
// also that of a caller who gives up.
type answer struct {
	ctx             context.Context // the caller's
	header, trailer metadata.MD
}

func (a *answer) options() []grpc.CallOption {
	return []grpc.CallOption{grpc.Header(&a.header), grpc.Trailer(&a.trailer)}
}

// came says whether anything came over the wire: there is always a content
// type (gRPC over HTTP/2, "Responses").
func (a *answer) came() bool { return len(a.header)+len(a.trailer) > 0 }
