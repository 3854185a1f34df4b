package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// plainSink is a sink whose Deliver is the test's, and nothing more.
type plainSink struct {
	deliver func(context.Context, sdk.DeliverRequest) error
}

func (s *plainSink) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{Name: "plain", Restorer: true}, nil
}

func (s *plainSink) Deliver(ctx context.Context, r sdk.DeliverRequest) error {
	return s.deliver(ctx, r)
}

// wholeSink implements every optional interface, too; their errors are err.
type wholeSink struct {
	plainSink
	restored sdk.Restored
	err      error
	test     sdk.TestRequest
	notice   sdk.NotifyRequest
}

func (s *wholeSink) Restore(context.Context, sdk.RestoreRequest) (sdk.Restored, error) {
	return s.restored, s.err
}

func (s *wholeSink) Test(_ context.Context, r sdk.TestRequest) error {
	s.test = r
	return s.err
}

func (s *wholeSink) Notify(_ context.Context, r sdk.NotifyRequest) error {
	s.notice = r
	return s.err
}

// dial connects to a service over an in-memory pipe.
func dial(t *testing.T, register func(*grpc.Server)) *grpc.ClientConn {
	t.Helper()
	g := grpc.NewServer()
	register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func remoteSink(t *testing.T, s sdk.Sink, log *bytes.Buffer) *sdk.RemoteSink {
	t.Helper()
	if log == nil {
		log = &bytes.Buffer{}
	}
	return sdk.NewRemoteSink(dial(t, sdk.NewSinkServer(s, slog.New(slog.NewTextHandler(log, nil))).Register))
}

func TestSinkDescribesWhatItImplements(t *testing.T) {
	for _, c := range []struct {
		sink sdk.Sink
		want bool
	}{{&plainSink{}, false}, {&wholeSink{}, true}} {
		d, err := remoteSink(t, c.sink, nil).DescribeSink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d.Restorer != c.want || d.Tester != c.want || d.Notifier != c.want {
			t.Errorf("%T: restorer %t, tester %t, notifier %t, want %t", c.sink, d.Restorer, d.Tester, d.Notifier, c.want)
		}
	}
}

// The kinds of errors that a sink can return keep their meaning over the wire.
func TestSinkErrors(t *testing.T) {
	all := []error{sdk.ErrAbsent, sdk.ErrGone, sdk.ErrRefused, sdk.ErrLater, sdk.ErrNothingStored}
	for _, c := range []struct {
		name  string
		err   error
		is    error // of all; nil: none
		after time.Duration
		http  int
	}{
		{"plain", errors.New("no route"), nil, 0, 0},
		{"absent", sdk.ErrAbsent, sdk.ErrAbsent, 0, 0},
		{"gone, wrapped", fmt.Errorf("answered 410: %w", sdk.ErrGone), sdk.ErrGone, 0, 0},
		{"refused", fmt.Errorf("too large: %w", sdk.ErrRefused), sdk.ErrRefused, 0, 0},
		{"nothing stored", sdk.ErrNothingStored, sdk.ErrNothingStored, 0, 0},
		{"retry after", &sdk.Error{Message: "slow down", RetryAfter: 7 * time.Second, HTTPStatus: 429}, nil, 7 * time.Second, 429},
		{"refused with a status", errors.Join(sdk.ErrRefused, &sdk.Error{Message: "no", HTTPStatus: 413}), sdk.ErrRefused, 0, 413},
		{"later", fmt.Errorf("%w: %w", sdk.ErrLater, &sdk.Error{Message: "once an hour", RetryAfter: time.Hour}), sdk.ErrLater, time.Hour, 0},
		{"a context", context.DeadlineExceeded, nil, 0, 0},
		{"a status of another service", status.Error(codes.NotFound, "no such secret"), nil, 0, 0},
		{"no UTF-8", errors.New("bad \xff byte"), nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := remoteSink(t, &plainSink{deliver: func(context.Context, sdk.DeliverRequest) error { return c.err }}, nil)
			err := r.Deliver(t.Context(), sdk.DeliverRequest{})
			if err == nil {
				t.Fatal("no error arrived")
			}
			for _, kind := range all {
				if got, want := errors.Is(err, kind), kind == c.is; got != want {
					t.Errorf("errors.Is(%v) = %t, want %t", kind, got, want)
				}
			}
			var e *sdk.Error
			if !errors.As(err, &e) || e.RetryAfter != c.after || e.HTTPStatus != c.http {
				t.Errorf("the detail is %+v, want %s and %d", e, c.after, c.http)
			}
			if want := strings.ToValidUTF8(c.err.Error(), "?"); err.Error() != want {
				t.Errorf("the text is %q, want %q", err, want)
			}
			if errors.Is(err, sdk.ErrConnection) {
				t.Error("a sink's own error counts as one of the connection")
			}
		})
	}
}

// bare is a sink in a language in which a detail is inconvenient.
type bare struct {
	pb.UnimplementedSinkServer
	err error
}

func (b bare) Restore(context.Context, *pb.RestoreRequest) (*pb.RestoreResponse, error) {
	return nil, b.err
}

func TestSinkErrorsByCodeAlone(t *testing.T) {
	for code, want := range map[codes.Code]error{
		codes.FailedPrecondition: sdk.ErrAbsent,
		codes.InvalidArgument:    sdk.ErrRefused,
		codes.NotFound:           sdk.ErrNothingStored,
		codes.Unimplemented:      sdk.ErrUnimplemented,
		codes.DeadlineExceeded:   context.DeadlineExceeded,
	} {
		r := sdk.NewRemoteSink(dial(t, func(g *grpc.Server) { pb.RegisterSinkServer(g, bare{err: status.Error(code, "text")}) }))
		if _, err := r.Restore(t.Context(), sdk.RestoreRequest{}); !errors.Is(err, want) {
			t.Errorf("%s is %v, want %v", code, err, want)
		}
	}
	// Nobody chose this text: it is what the sink's code threw.
	r := sdk.NewRemoteSink(dial(t, func(g *grpc.Server) {
		pb.RegisterSinkServer(g, bare{err: status.Error(codes.Unknown, "Exception calling application: canary-token")})
	}))
	if _, err := r.Restore(t.Context(), sdk.RestoreRequest{}); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("an exception's text came through: %v", err)
	}
}

// A sink in any language may say UNAVAILABLE of its destination, on which its
// own process, which serves, must not be taken for dead.
func TestSinkUnavailableIsNotTheConnection(t *testing.T) {
	var server *grpc.Server
	conn := dial(t, func(g *grpc.Server) {
		server = g
		pb.RegisterSinkServer(g, bare{err: status.Error(codes.Unavailable, "the vault is sealed")})
	})
	r := sdk.NewRemoteSink(conn)
	_, err := r.Restore(t.Context(), sdk.RestoreRequest{})
	if err == nil || errors.Is(err, sdk.ErrConnection) || err.Error() != "the vault is sealed" {
		t.Errorf("a sink that says UNAVAILABLE: %v", err)
	}
	server.Stop()
	if _, err := r.Restore(t.Context(), sdk.RestoreRequest{}); !errors.Is(err, sdk.ErrConnection) {
		t.Errorf("a sink that is gone: %v, want %v", err, sdk.ErrConnection)
	}
}

// gRPC has one status for a caller who gives up and for a connection that is
// closed at this end, as it is once the process has exited: the first says
// nothing about the process, the second that it is gone.
func TestSinkCancelledByWhom(t *testing.T) {
	called := make(chan struct{}, 1)
	conn := dial(t, func(g *grpc.Server) {
		s := &plainSink{deliver: func(ctx context.Context, _ sdk.DeliverRequest) error {
			called <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}}
		sdk.NewSinkServer(s, slog.New(slog.DiscardHandler)).Register(g)
	})
	r := sdk.NewRemoteSink(conn)
	deliver := func(ctx context.Context) <-chan error {
		done := make(chan error, 1)
		go func() { done <- r.Deliver(ctx, sdk.DeliverRequest{Account: "main", Version: 1}) }()
		return done
	}

	ctx, cancel := context.WithCancel(t.Context())
	given := deliver(ctx)
	<-called
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) || errors.Is(err, sdk.ErrConnection) {
		t.Errorf("a call that was given up: %v, want %v", err, context.Canceled)
	}

	lost := deliver(t.Context())
	<-called
	_ = conn.Close()
	for when, call := range map[string]<-chan error{"in flight": lost, "after that": deliver(t.Context())} {
		if err := <-call; !errors.Is(err, sdk.ErrConnection) || errors.Is(err, context.Canceled) {
			t.Errorf("a call on a connection that was closed, %s: %v, want %v", when, err, sdk.ErrConnection)
		}
	}

	own := sdk.NewRemoteSink(dial(t, func(g *grpc.Server) {
		pb.RegisterSinkServer(g, bare{err: status.Error(codes.Canceled, "the vault gave up")})
	}))
	if _, err := own.Restore(t.Context(), sdk.RestoreRequest{}); err == nil || errors.Is(err, sdk.ErrConnection) ||
		errors.Is(err, context.Canceled) || err.Error() != "the vault gave up" {
		t.Errorf("a sink that says CANCELLED: %v", err)
	}
}

func TestSinkWithoutOptionalCalls(t *testing.T) {
	r := remoteSink(t, &plainSink{}, nil)
	_, restore := r.Restore(t.Context(), sdk.RestoreRequest{})
	for call, err := range map[string]error{
		"Restore": restore,
		"Test":    r.Test(t.Context(), sdk.TestRequest{}),
		"Notify":  r.Notify(t.Context(), sdk.NotifyRequest{}),
	} {
		if !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("%s: %v, want %v", call, err, sdk.ErrUnimplemented)
		}
	}
}

// A provider that is asked whether it is a sink, and the other way round, says
// that it is not.
func TestSinkIsNoProvider(t *testing.T) {
	conn := dial(t, sdk.NewSinkServer(&plainSink{}, slog.New(slog.DiscardHandler)).Register)
	if _, err := sdk.NewRemote(conn).Describe(t.Context()); !errors.Is(err, sdk.ErrUnimplemented) {
		t.Errorf("a sink that is asked as a provider: %v", err)
	}
	nothing := func() (*spool.Spool, error) { return nil, errors.New("no spool") }
	conn = dial(t, sdk.NewServer(&fake{}, nothing, slog.New(slog.DiscardHandler)).Register)
	if _, err := sdk.NewRemoteSink(conn).DescribeSink(t.Context()); !errors.Is(err, sdk.ErrUnimplemented) {
		t.Errorf("a provider that is asked as a sink: %v", err)
	}
}

// A panic's value, and an error's text that holds the token, go nowhere.
func TestSinkTellsNoToken(t *testing.T) {
	for name, fail := range map[string]func(sdk.DeliverRequest) error{
		"panic with a text":  func(r sdk.DeliverRequest) error { panic(r.Token.AccessToken.Reveal()) },
		"panic with a type":  func(r sdk.DeliverRequest) error { panic(fmt.Errorf("%s", r.Content.Reveal())) },
		"panic of a runtime": func(r sdk.DeliverRequest) error { return map[string]error{}[r.Account[99:]] },
		"error":              func(r sdk.DeliverRequest) error { return errors.New("can't send " + r.Token.RefreshToken.Reveal()) },
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			r := remoteSink(t, &plainSink{deliver: func(_ context.Context, r sdk.DeliverRequest) error { return fail(r) }}, &log)
			err := r.Deliver(t.Context(), sdk.DeliverRequest{
				Account: "main", Token: sdk.Token{AccessToken: sdk.NewSecret(canary), RefreshToken: sdk.NewSecret(canary)},
				Content: sdk.NewSecret("{" + canary + "}"),
			})
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error()+log.String(), canary) {
				t.Errorf("the token is told:\n%v\n%s", err, &log)
			}
			if strings.HasPrefix(name, "panic") && !strings.Contains(err.Error(), "sink_test.go") && !strings.Contains(err.Error(), "TestSinkTellsNoToken") {
				t.Errorf("the place is not told: %v", err)
			}
			if err := r.Ping(t.Context()); err != nil {
				t.Errorf("the process does not serve any more: %v", err)
			}
		})
	}
}

// A drain waits for the delivery in flight and refuses the next one.
func TestSinkDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := sdk.NewSinkServer(&plainSink{deliver: func(context.Context, sdk.DeliverRequest) error {
			<-release
			return nil
		}}, slog.New(slog.DiscardHandler))
		first := make(chan error, 1)
		go func() { _, err := server.Deliver(t.Context(), &pb.DeliverRequest{}); first <- err }()
		synctest.Wait()
		drained := make(chan struct{})
		go func() { defer close(drained); server.Drain() }()
		synctest.Wait()
		select {
		case <-drained:
			t.Fatal("drained although a delivery is in flight")
		default:
		}
		if _, err := server.Deliver(t.Context(), &pb.DeliverRequest{}); err == nil {
			t.Error("a delivery began during the drain")
		}
		close(release)
		if err := <-first; err != nil {
			t.Errorf("the delivery in flight failed: %v", err)
		}
		<-drained
	})
}
