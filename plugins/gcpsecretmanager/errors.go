package gcpsecretmanager

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// rolesNeeded is told wherever a permission is missing.
const rolesNeeded = "grant this sink's service account roles/secretmanager.secretAccessor and " +
	"roles/secretmanager.secretVersionManager on the secret"

// errUnauthenticated: the credentials have to be read anew.
var errUnauthenticated = errors.New("the credentials are not accepted, or none could be had: " +
	"check the setting " + settingCredentialsFile + ", or the machine's service account")

// quotaPause is how long to leave the service alone that does not say it: its
// quotas are per minute.
const quotaPause = time.Minute

// explain says in our own words what an error of the service means, because
// the library's may quote a request. ctx is the caller's, and doing what was
// tried.
func (v *vault) explain(ctx context.Context, doing string, err error) error {
	st := status.Convert(err)
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		st = status.FromContextError(err)
	}
	failed := func(format string, args ...any) error {
		return fmt.Errorf("can't %s %s: %w", doing, v.settings, fmt.Errorf(format, args...))
	}
	switch st.Code() {
	case codes.PermissionDenied:
		return failed("%s", v.denied(doing, st))
	case codes.Unauthenticated:
		return failed("%w", errUnauthenticated)
	case codes.ResourceExhausted:
		return &sdk.Error{
			Kind: sdk.KindRateLimited, RetryAfter: pause(st),
			Message: failed("the project's quota of requests is used up").Error(),
		}
	case codes.NotFound:
		return failed("it does not exist: check the settings %s and %s", settingProject, settingSecret)
	case codes.InvalidArgument:
		return failed("Secret Manager refuses the request as invalid: check the settings %s and %s", settingProject, settingSecret)
	case codes.FailedPrecondition:
		return failed("Secret Manager refuses it in the secret's present state: look at its versions and its encryption key")
	case codes.DeadlineExceeded:
		return failed("no answer came in time: %w", context.DeadlineExceeded)
	case codes.Canceled:
		// gRPC says so too if the connection was closed at this end, and the
		// service may.
		if gaveUp := ctx.Err(); gaveUp != nil {
			return failed("it was given up: %w", gaveUp)
		}
		return failed("the connection ended before the answer came")
	case codes.DataLoss:
		return failed("its data arrived damaged")
	case codes.Unavailable:
		return failed("Secret Manager can't be reached")
	default:
		return failed("Secret Manager answered with the error %s", st.Code())
	}
}

// denied says what is missing. The service answers the same for a project that
// does not exist, lest it tell of projects of others.
func (v *vault) denied(doing string, st *status.Status) string {
	switch reason(st) {
	case "SERVICE_DISABLED":
		return fmt.Sprintf("the Secret Manager API is off: gcloud services enable secretmanager.googleapis.com --project %s", v.project)
	case "BILLING_DISABLED":
		return "the project has no billing account"
	case "CONSUMER_INVALID":
		return "there is no such project, or it is not this identity's to use: check the setting " + settingProject
	}
	if doing == "create" {
		return fmt.Sprintf("permission denied: create it by hand (gcloud secrets create %s --project %s), "+
			"or grant the permission secretmanager.secrets.create (in roles/secretmanager.admin)", v.secret, v.project)
	}
	return "permission denied: check the setting " + settingProject + ", and " + rolesNeeded
}

// reason is a constant of Google's, as UPPER_SNAKE_CASE; "" if none came.
func reason(st *status.Status) string {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func pause(st *status.Status) time.Duration {
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok && info.GetRetryDelay().AsDuration() > 0 {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return quotaPause
}
