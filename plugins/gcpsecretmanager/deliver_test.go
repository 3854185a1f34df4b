package gcpsecretmanager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/secretmanager/apiv1/secretmanagerpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeeper/tokenkeeper/plugins/gcpsecretmanager/secretmanagertest"
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// TestOneVersionIsKept: each delivery adds one version, as it was handed over,
// and destroys the one before.
func TestOneVersionIsKept(t *testing.T) {
	r := start(t)
	for n := range uint64(4) {
		r.must(r.deliver(n + 1))
		if want := r.request("saxo-live", n+1).Content.Reveal(); r.newest() != want {
			t.Fatalf("stored %q, want %q", r.newest(), want)
		}
		r.enabled(int(n + 1))
	}
	if n := r.Calls("CreateSecret"); n != 1 {
		t.Errorf("the secret was created %d times", n)
	}
	if n := r.Calls("ListSecretVersions"); n != 1 {
		t.Errorf("versions were listed %d times: reading them has a small quota", n)
	}
	if log := r.log.String(); log != "" {
		t.Errorf("it was said: %s", log)
	}
}

func TestAgainAddsNothing(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		r := start(t)
		r.must(r.deliver(1))
		r.must(r.deliver(2))
		if restarted {
			r.restart()
		}
		r.must(r.deliver(2))
		if n := r.Calls("AddSecretVersion"); n != 3 { // the first one found no secret
			t.Errorf("restarted %v: AddSecretVersion was called %d times", restarted, n)
		}
		r.enabled(2)
	}
}

// TestCrashes ends the process, or the connection, at each step that changes
// something; the delivery is then made again.
func TestCrashes(t *testing.T) {
	layouts := map[string]func(r *rig, n uint64) sdk.DeliverRequest{
		"own layout": func(r *rig, n uint64) sdk.DeliverRequest { return r.request("saxo-live", n) },
		"foreign layout": func(r *rig, n uint64) sdk.DeliverRequest {
			req := r.request("saxo-live", n)
			req.Content = sdk.NewSecret(fmt.Sprintf(`{"access_token":%q,"token_expiry":"2026-03-02T09:00:00"}`, access("saxo-live", n)))
			return req
		},
	}
	lost := func(*rig) error { return status.Error(codes.Unavailable, "lost") }
	for _, where := range []struct {
		name, method string
		after        bool
	}{
		{"before reading", "AccessSecretVersion", false},
		{"before adding", "AddSecretVersion", false},
		{"the answer to adding is lost", "AddSecretVersion", true},
		{"before destroying", "DestroySecretVersion", false},
		{"the answer to destroying is lost", "DestroySecretVersion", true},
	} {
		for layout, request := range layouts {
			for _, restarted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, restarted %v", where.name, layout, restarted), func(t *testing.T) {
					r := start(t)
					r.must(r.send(request(r, 1)))
					fault := func(_ context.Context, m string) error {
						if m == where.method {
							return lost(r)
						}
						return nil
					}
					r.With(func(s *secretmanagertest.Server) {
						if where.after {
							s.After = fault
						} else {
							s.Before = fault
						}
					})
					err := r.send(request(r, 2))
					if delivered := where.method == "DestroySecretVersion"; delivered != (err == nil) {
						t.Fatalf("the failure's outcome is %v", err)
					}
					r.With(func(s *secretmanagertest.Server) { s.Before, s.After = nil, nil })
					if restarted {
						r.restart()
					}
					r.must(r.send(request(r, 2)))
					r.enabled(2)
					if !strings.Contains(r.newest(), access("saxo-live", 2)) {
						t.Errorf("the newest version is %s", r.newest())
					}
				})
			}
		}
	}
}

// TestFailedDestroyIsTold: the token is delivered, a person can read that
// something is left, and the next delivery puts it right.
func TestFailedDestroyIsTold(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	r.With(func(s *secretmanagertest.Server) { s.Before = fail("DestroySecretVersion", codes.PermissionDenied) })
	r.must(r.deliver(2))
	r.must(r.deliver(3))
	r.enabled(1, 2, 3)
	if log := r.log.String(); !strings.Contains(log, "secretVersionManager") {
		t.Errorf("the log does not say which role is missing: %s", log)
	}
	r.With(func(s *secretmanagertest.Server) { s.Before = nil })
	r.must(r.deliver(4))
	r.enabled(4)
}

// TestHangs: a call that never ends ends the delivery at its deadline, and one
// that comes after the token is stored does not make it fail.
func TestHangs(t *testing.T) {
	for method, delivered := range map[string]bool{
		"AccessSecretVersion": false, "AddSecretVersion": false,
		"DestroySecretVersion": true, "ListSecretVersions": true,
	} {
		t.Run(method, func(t *testing.T) {
			r := start(t)
			r.Put(secret, r.request("saxo-live", 1).Content.Reveal())
			r.With(func(s *secretmanagertest.Server) { s.Before = hang(method) })
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			err := r.sink.Deliver(ctx, r.request("saxo-live", 2))
			switch {
			case delivered && err != nil:
				t.Errorf("not delivered: %v", err)
			case delivered && ctx.Err() != nil:
				t.Error("the answer came after the deadline, when nobody hears it")
			case !delivered && !errors.Is(err, context.DeadlineExceeded):
				t.Errorf("the error is %v", err)
			}
		})
	}
}

func TestCancelEndsDelivery(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	waits := hang("AccessSecretVersion")
	r.With(func(s *secretmanagertest.Server) {
		s.Before = func(ctx context.Context, m string) error { cancel(); return waits(ctx, m) }
	})
	if err := r.sink.Deliver(ctx, r.request("saxo-live", 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

// TestFaults lets each call fail in each way: the kind of the error, what it
// tells a person, and that it heals.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		method string
		code   codes.Code
		says   string
		after  time.Duration // of RetryAfter
	}{
		{"AccessSecretVersion", codes.PermissionDenied, "roles/secretmanager.secretAccessor", 0},
		{"AddSecretVersion", codes.PermissionDenied, "roles/secretmanager.secretVersionManager", 0},
		{"CreateSecret", codes.PermissionDenied, "gcloud secrets create", 0},
		{"AccessSecretVersion", codes.Unauthenticated, "credentials_file", 0},
		{"AccessSecretVersion", codes.ResourceExhausted, "quota", time.Minute},
		{"AddSecretVersion", codes.ResourceExhausted, "quota", time.Minute},
		{"CreateSecret", codes.ResourceExhausted, "quota", time.Minute},
		{"CreateSecret", codes.NotFound, "no project trading-bots", 0},
		{"AccessSecretVersion", codes.Unavailable, "can't be reached", 0},
		{"AddSecretVersion", codes.Unavailable, "can't be reached", 0},
		{"AccessSecretVersion", codes.Canceled, "before the answer came", 0},
		{"AddSecretVersion", codes.Canceled, "before the answer came", 0},
		{"AddSecretVersion", codes.Internal, "error Internal", 0},
		{"AddSecretVersion", codes.InvalidArgument, "invalid", 0},
		{"AddSecretVersion", codes.FailedPrecondition, "encryption key", 0},
	} {
		t.Run(c.method+" "+c.code.String(), func(t *testing.T) {
			r := start(t)
			r.With(func(s *secretmanagertest.Server) { s.Before = fail(c.method, c.code) })
			err := r.deliver(1)
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "trading-bots") {
				t.Errorf("the error is %v, want one that says %q and names the project", err, c.says)
			}
			if errors.Is(err, sdk.ErrRefused) || errors.Is(err, sdk.ErrGone) || errors.Is(err, sdk.ErrAbsent) {
				t.Errorf("the error is not tried again: %v", err)
			}
			if errors.Is(err, context.Canceled) {
				t.Errorf("nobody gave it up: %v", err)
			}
			var e *sdk.Error
			if errors.As(err, &e) != (c.after > 0) || e != nil && e.RetryAfter != c.after {
				t.Errorf("it asks to wait: %+v, want %s", e, c.after)
			}
			if n := r.Calls(c.method); n != 1 {
				t.Errorf("%s was tried %d times: the supervisor decides about that", c.method, n)
			}
			r.With(func(s *secretmanagertest.Server) { s.Before = nil })
			r.must(r.deliver(1))
			r.enabled(1)
		})
	}
}

// TestUnreachable: the service goes and comes back on the same address.
func TestUnreachable(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	r.stop()
	if err := r.deliver(2); err == nil || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("the error is %v", err)
	}
	r.listen(r.address)
	waittest.Until(t, "the service that is back is found", func() bool { return r.deliver(2) == nil })
	r.enabled(2)
}

// TestStaleLatest: the alias "latest" may tell of an older version for a
// while; what was stored must neither be lost nor be added again.
func TestStaleLatest(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	r.must(r.deliver(2))
	r.Put(secret, strings.Replace(r.newest(), "{", `{"other":"kept",`, 1))
	r.must(r.deliver(3))
	r.With(func(s *secretmanagertest.Server) { s.StaleLatest = true })
	r.must(r.deliver(3))
	r.must(r.deliver(4))
	if !strings.Contains(r.newest(), `"kept"`) {
		t.Errorf("a key was lost: %s", r.newest())
	}
	if n := len(r.Versions(secret)); n != 5 {
		t.Errorf("there are %d versions, want 5", n)
	}
	r.enabled(5)
}

func TestDamagedData(t *testing.T) {
	r := start(t)
	r.must(r.deliver(1))
	r.With(func(s *secretmanagertest.Server) { s.Damage = true })
	if err := r.deliver(2); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("the error is %v", err)
	}
	r.enabled(1)
}

// TestUnprovenAdd: what was added without proof is found at the next try.
func TestUnprovenAdd(t *testing.T) {
	r := start(t)
	r.With(func(s *secretmanagertest.Server) { s.Damage = true })
	if err := r.deliver(1); err == nil || !strings.Contains(err.Error(), "prove") {
		t.Errorf("the error is %v", err)
	}
	r.With(func(s *secretmanagertest.Server) { s.Damage = false })
	r.must(r.deliver(1))
	r.enabled(1)
}

// TestLatestIsNotUsable: a person disabled or destroyed the newest version, or
// deleted the secret.
func TestLatestIsNotUsable(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		for _, state := range []secretmanagerpb.SecretVersion_State{
			secretmanagerpb.SecretVersion_DISABLED, secretmanagerpb.SecretVersion_DESTROYED,
		} {
			r := start(t)
			r.Put(secret, `{"other":"kept"}`)
			r.must(r.deliver(1))
			r.Set(secret, 2, state)
			if restarted {
				r.restart()
			}
			r.must(r.deliver(2))
			r.enabled(3)
			r.Delete(secret)
			r.must(r.deliver(3))
			r.enabled(1)
			r.must(r.deliver(4))
			r.enabled(2)
		}
	}
}

func TestDelayedDestroy(t *testing.T) {
	r := start(t)
	r.With(func(s *secretmanagertest.Server) { s.DelayedDestroy = true })
	r.must(r.deliver(1))
	r.must(r.deliver(2))
	r.enabled(2)
	if log := r.log.String(); log != "" {
		t.Errorf("it was said: %s", log)
	}
}

func TestNoCreation(t *testing.T) {
	r := start(t, "create", "false")
	if err := r.deliver(1); err == nil || !strings.Contains(err.Error(), "gcloud secrets create "+secret) {
		t.Errorf("the error is %v", err)
	}
	r.Put(secret)
	r.must(r.deliver(1))
	if n := r.Calls("CreateSecret"); n != 0 {
		t.Errorf("CreateSecret was called %d times", n)
	}
}
