package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// meanings are what a sink's error can mean, on the wire and off it. The
// codes are for sinks that send no detail; none of them is ever made by gRPC
// itself. "gone" has none: a code that was chosen carelessly must not disable
// a sink.
var meanings = [...]struct {
	kind string
	err  error
	code codes.Code
	bare bool // the code alone says it
}{
	{"absent", ErrAbsent, codes.FailedPrecondition, true},
	{"gone", ErrGone, codes.Aborted, false},
	{"refused", ErrRefused, codes.InvalidArgument, true},
	{"later", ErrLater, codes.Aborted, false},
	{"nothing_stored", ErrNothingStored, codes.NotFound, true},
}

// sinkError is a failed call as the supervisor sees it: the text and the
// numbers, and what it means.
type sinkError struct {
	detail  *Error
	meaning error // nil: try again
}

func (e *sinkError) Error() string { return e.detail.Message }

func (e *sinkError) Unwrap() []error {
	if e.meaning == nil {
		return []error{e.detail}
	}
	return []error{e.meaning, e.detail}
}

// toSinkStatus turns a sink's error into a gRPC status with a Failure as its
// detail. The text loses every one of the secrets that stands in it.
func toSinkStatus(err error, secrets ...Secret) error {
	if errors.Is(err, ErrUnimplemented) {
		return status.Error(codes.Unimplemented, ErrUnimplemented.Error())
	}
	// The wire takes UTF-8 alone.
	f := &pb.Failure{Kind: "retry", Message: strings.ToValidUTF8(without(err.Error(), secrets), "?")}
	code := codes.Unavailable
	for _, m := range meanings {
		if errors.Is(err, m.err) {
			f.Kind, code = m.kind, m.code
			break
		}
	}
	if e, ok := errors.AsType[*Error](err); ok {
		f.HttpStatus = int32(e.HTTPStatus)
		if e.RetryAfter > 0 {
			f.RetryAfter = durationpb.New(e.RetryAfter)
		}
	}
	st, detailErr := status.New(code, f.Message).WithDetails(f)
	if detailErr != nil {
		return status.Error(codes.Internal, f.Message)
	}
	return st.Err()
}

// without is text with the secrets in it redacted.
func without(text string, secrets []Secret) string {
	for _, s := range secrets {
		if !s.IsZero() {
			text = strings.ReplaceAll(text, s.Reveal(), redacted)
		}
	}
	return text
}

// failure is toSinkStatus backwards. A status without a Failure is the
// transport's, or comes from a sink that says it by the code alone.
func (a *answer) failure(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrConnection, err)
	}
	for _, d := range st.Details() {
		if f, ok := d.(*pb.Failure); ok {
			return fromFailure(f)
		}
	}
	for _, m := range meanings {
		if m.bare && st.Code() == m.code {
			return fromFailure(&pb.Failure{Kind: m.kind, Message: st.Message()})
		}
	}
	switch st.Code() {
	case codes.Unimplemented:
		return ErrUnimplemented
	case codes.Canceled, codes.Unavailable:
		if ended := gaveUp(a.ctx); ended != nil && st.Code() == codes.Canceled {
			return fmt.Errorf("the call to the sink was ended: %w", ended)
		}
		if !a.came() {
			return lost(st)
		}
	case codes.Unknown:
		// gRPC's libraries put the text of whatever the sink's code threw
		// here: nobody has looked at what is in it.
		return errors.New("the sink's code failed without saying how; what it wrote to the log may tell")
	case codes.DeadlineExceeded:
		return fmt.Errorf("the sink did not answer in time: %w", context.DeadlineExceeded)
	}
	return fromFailure(&pb.Failure{Message: st.Message()})
}

func fromFailure(f *pb.Failure) error {
	e := &sinkError{detail: &Error{
		Kind:       KindTransient,
		Message:    f.GetMessage(),
		RetryAfter: max(f.GetRetryAfter().AsDuration(), 0),
		HTTPStatus: int(f.GetHttpStatus()),
	}}
	for _, m := range meanings {
		if f.GetKind() == m.kind {
			e.meaning = m.err
		}
	}
	if e.detail.Message == "" {
		e.detail.Message = "the sink failed without saying why"
		if e.meaning != nil {
			e.detail.Message = e.meaning.Error()
		}
	}
	return e
}
