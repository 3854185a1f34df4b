package sdk

import (
	"context"

	"google.golang.org/grpc"

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
	_ Tester   = (*RemoteSink)(nil)
	_ Notifier = (*RemoteSink)(nil)
)

// NewRemoteSink speaks the wire contract over conn.
func NewRemoteSink(conn grpc.ClientConnInterface) *RemoteSink {
	return &RemoteSink{rpc: pb.NewSinkClient(conn)}
}

// DescribeSink implements [Sink].
func (r *RemoteSink) DescribeSink(ctx context.Context) (SinkDescription, error) {
	m, err := r.rpc.Describe(ctx, &pb.DescribeRequest{})
	if err != nil {
		return SinkDescription{}, fromSinkStatus(err)
	}
	return toSinkDescription(m), nil
}

// Ping asks for a sign of life.
func (r *RemoteSink) Ping(ctx context.Context) error {
	_, err := r.rpc.Ping(ctx, &pb.PingRequest{})
	return fromSinkStatus(err)
}

// Deliver implements [Sink].
func (r *RemoteSink) Deliver(ctx context.Context, req DeliverRequest) error {
	_, err := r.rpc.Deliver(ctx, fromDelivery(req))
	return fromSinkStatus(err)
}

// Restore implements [Restorer].
func (r *RemoteSink) Restore(ctx context.Context, req RestoreRequest) (Restored, error) {
	m, err := r.rpc.Restore(ctx, fromRestore(req))
	if err != nil {
		return Restored{}, fromSinkStatus(err)
	}
	return toRestored(m), nil
}

// Test implements [Tester].
func (r *RemoteSink) Test(ctx context.Context, req TestRequest) error {
	_, err := r.rpc.Test(ctx, fromTest(req))
	return fromSinkStatus(err)
}

// Notify implements [Notifier].
func (r *RemoteSink) Notify(ctx context.Context, req NotifyRequest) error {
	_, err := r.rpc.Notify(ctx, fromNotice(req))
	return fromSinkStatus(err)
}
