package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
)

// toStatus turns a provider's error into a gRPC status with a Failure as its
// detail.
func toStatus(err error) error {
	if errors.Is(err, ErrUnimplemented) {
		return status.Error(codes.Unimplemented, err.Error())
	}
	// The wire takes UTF-8 alone.
	f := &pb.Failure{Kind: string(KindOf(err)), Message: strings.ToValidUTF8(err.Error(), "?")}
	if e, ok := errors.AsType[*Error](err); ok {
		f.HttpStatus = int32(e.HTTPStatus)
		f.Unread = e.Unread
		f.OauthError = strings.ToValidUTF8(e.OAuthError, "?")
		if e.RetryAfter > 0 {
			f.RetryAfter = durationpb.New(e.RetryAfter)
		}
	}
	st, detailErr := status.New(codeOf(Kind(f.Kind)), f.Message).WithDetails(f)
	if detailErr != nil {
		return status.Error(codes.Internal, f.Message)
	}
	return st.Err()
}

func codeOf(k Kind) codes.Code {
	switch k {
	case KindInvalidGrant:
		return codes.Unauthenticated
	case KindInvalidClient:
		return codes.PermissionDenied
	case KindRateLimited:
		return codes.ResourceExhausted
	case KindAmbiguous:
		return codes.DataLoss
	default:
		return codes.Unavailable
	}
}

// noAnswer is toStatus of a call that is no attempt. A provider that returns because
// ctx is over, and says no more than that, has not answered: its word must not come
// out otherwise than the end of the call itself, with which it races.
func noAnswer(ctx context.Context, err error) error {
	said, ended := (*Error)(nil), gaveUp(ctx)
	if ended != nil && errors.Is(err, ended) && !errors.As(err, &said) {
		return status.FromContextError(ended).Err()
	}
	return toStatus(err)
}

// fromStatus is toStatus backwards. A status without a Failure is the
// transport's: the call's outcome is not known, and [ErrConnection] says so.
func fromStatus(err error) error {
	if err == nil {
		return nil
	}
	st, ok := status.FromError(err)
	if !ok {
		return fmt.Errorf("%w: %w", ErrConnection, err)
	}
	for _, d := range st.Details() {
		if f, ok := d.(*pb.Failure); ok {
			return &Error{
				Kind:       Kind(f.GetKind()),
				Message:    f.GetMessage(),
				RetryAfter: f.GetRetryAfter().AsDuration(),
				HTTPStatus: int(f.GetHttpStatus()),
				Unread:     f.GetUnread(),
				OAuthError: f.GetOauthError(),
			}
		}
	}
	if st.Code() == codes.Unimplemented {
		return ErrUnimplemented
	}
	return lost(st)
}

// ofAttempt is a failed attempt's: one of no kind, or of one that only a later program
// knows, does not say what became of the token.
func ofAttempt(err error) error {
	known := []Kind{KindTransient, KindInvalidGrant, KindInvalidClient, KindRateLimited, KindAmbiguous, KindNotSent, KindPending}
	if e, is := err.(*Error); is && !slices.Contains(known, e.Kind) { //nolint:errorlint // what wraps one is no answer of a provider
		e.Kind = KindAmbiguous
	}
	return err
}

// lost is a status of the transport's. What gRPC says where a process has ended
// ("error reading from server: EOF") tells a person nothing.
func lost(st *status.Status) error {
	switch st.Code() {
	case codes.Unavailable, codes.Canceled:
		return fmt.Errorf("%w: the process or its connection ended before it had answered", ErrConnection)
	case codes.DeadlineExceeded:
		return fmt.Errorf("%w: it had not answered in time", ErrConnection)
	}
	return fmt.Errorf("%w: %s", ErrConnection, st.Message())
}

// gaveUp is why the caller of a call does not wait any longer; nil: he does. The
// other end knows the deadline, too, and may reset the call at that very moment,
// before the caller's own clock has ended ctx: no connection is lost by that.
func gaveUp(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}
