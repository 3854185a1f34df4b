package sdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// fake is a provider whose Refresh is the test's.
type fake struct {
	refresh func(context.Context, sdk.RefreshRequest) (sdk.Token, error)
	calls   atomic.Int32
}

func (f *fake) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "fake", Authorizer: true}, nil
}

func (f *fake) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	f.calls.Add(1)
	return f.refresh(ctx, req)
}

// world is a provider process without the process.
type world struct {
	*sdk.Remote
	server *sdk.Server
	spool  *spool.Spool
	fake   *fake
	dir    string
	log    *bytes.Buffer
}

func newWorld(t *testing.T, dir string, refresh func(context.Context, sdk.RefreshRequest) (sdk.Token, error)) *world {
	t.Helper()
	sp, err := spool.Open(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sp.Close() })
	w := &world{spool: sp, dir: dir, fake: &fake{refresh: refresh}, log: &bytes.Buffer{}}
	w.serve(t, func() (*spool.Spool, error) { return sp, nil })
	return w
}

func (w *world) serve(t *testing.T, open func() (*spool.Spool, error)) { w.serveAs(t, w.fake, open) }

func (w *world) serveAs(t *testing.T, p sdk.Provider, open func() (*spool.Spool, error)) {
	w.server = sdk.NewServer(p, open, slog.New(slog.NewTextHandler(w.log, nil)))
	g := grpc.NewServer()
	w.server.Register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///fake",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	w.Remote = sdk.NewRemote(conn)
}

func request(attempt, account string) sdk.RefreshRequest {
	return sdk.RefreshRequest{
		Attempt: sdk.Attempt{ID: attempt, Version: 2, Fingerprint: "f00d"},
		Account: sdk.Account{Name: account},
		Token:   sdk.Token{RefreshToken: sdk.NewSecret(canary)},
	}
}

func token() sdk.Token {
	return sdk.Token{
		AccessToken: sdk.NewSecret("A"), RefreshToken: sdk.NewSecret("R"),
		IssuedAt: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), Lifetime: time.Hour,
	}
}

func grant(context.Context, sdk.RefreshRequest) (sdk.Token, error) { return token(), nil }

func wantKind(t *testing.T, err error, want sdk.Kind) {
	t.Helper()
	if err == nil || sdk.KindOf(err) != want || errors.Is(err, sdk.ErrConnection) {
		t.Errorf("error %v of the kind %s, want %s", err, sdk.KindOf(err), want)
	}
}

// held is a Refresh that waits to be let go.
type held struct{ arrived, release chan struct{} }

func newHeld() held { return held{make(chan struct{}), make(chan struct{})} }

func (h held) refresh(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
	close(h.arrived)
	<-h.release
	return token(), nil
}

// A call that comes while its attempt is under way joins it, and one whose
// caller goes away goes on.
func TestAttemptIsJoinedAndDetached(t *testing.T) {
	h := newHeld()
	w := newWorld(t, t.TempDir(), h.refresh)
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := w.Refresh(leaving, request("a", "main"))
		left <- err
	}()
	<-h.arrived
	leave()
	if err := <-left; !errors.Is(err, sdk.ErrConnection) {
		t.Errorf("the caller who left got %v", err)
	}
	answers := make(chan sdk.Token, 2)
	for range 2 {
		go func() {
			got, err := w.Refresh(t.Context(), request("a", "main"))
			if err != nil {
				t.Error(err)
			}
			answers <- got
		}()
	}
	// An attempt under way can't be settled: its answer would be lost.
	if err := w.Settle(t.Context(), "a"); err == nil {
		t.Error("an attempt under way was settled")
	}
	close(h.release)
	for range 2 {
		if got := <-answers; !reflect.DeepEqual(got, token()) {
			t.Errorf("got %+v", got)
		}
	}
	if n := w.fake.calls.Load(); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
	if got := w.spool.Unsettled(); len(got) != 1 || got[0].Progress != spool.Answered {
		t.Errorf("the spool holds %+v", got)
	}
}

func TestDrain(t *testing.T) {
	h := newHeld()
	w := newWorld(t, t.TempDir(), h.refresh)
	first := make(chan error, 1)
	go func() {
		_, err := w.Refresh(t.Context(), request("a", "main"))
		first <- err
	}()
	<-h.arrived
	drained := make(chan struct{})
	go func() {
		w.server.Drain()
		close(drained)
	}()
	// Until Drain has closed the door an attempt of the same account is
	// refused for being beside an unsettled one; both are not_sent.
	for {
		_, err := w.Refresh(t.Context(), request("b", "main"))
		wantKind(t, err, sdk.KindNotSent)
		if err == nil || strings.Contains(err.Error(), "shutting down") {
			break
		}
		if err := w.Settle(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-drained:
		t.Error("Drain did not wait for the attempt in flight")
	default:
	}
	close(h.release)
	if err := <-first; err != nil {
		t.Error(err)
	}
	<-drained
	if n := w.fake.calls.Load(); n != 1 {
		t.Errorf("the provider was called %d times", n)
	}
}

func TestPanics(t *testing.T) {
	ready := func(ctx context.Context) {
		slot, _ := spool.FromContext(ctx)
		_ = slot.Advance(spool.Ready)
	}
	tests := map[string]struct {
		panics func(context.Context)
		kind   sdk.Kind
	}{
		"with a secret":        {func(context.Context) { panic("the token is " + canary) }, sdk.KindAmbiguous},
		"with an error":        {func(context.Context) { panic(errors.New(canary)) }, sdk.KindAmbiguous},
		"with a runtime error": {func(context.Context) { _ = []int{}[len(canary)] }, sdk.KindAmbiguous},
		"before the send":      {func(ctx context.Context) { ready(ctx); panic(canary) }, sdk.KindNotSent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
				tt.panics(ctx)
				return token(), nil
			})
			_, err := w.Refresh(t.Context(), request("a", "main"))
			wantKind(t, err, tt.kind)
			if strings.Contains(err.Error()+w.log.String(), canary) {
				t.Errorf("the panic's value is told: %v %s", err, w.log)
			}
			if err := w.Ping(t.Context()); err != nil {
				t.Errorf("the process is dead: %v", err)
			}
		})
	}
}

// An error that says nothing of the token does not have it sent again at once: the
// request may have come to the broker.
func TestErrorsWithoutAKind(t *testing.T) {
	gaveUp := fmt.Errorf("Post: %w", context.DeadlineExceeded)
	answered := func(answer []byte) func(context.Context) {
		return func(ctx context.Context) {
			slot, _ := spool.FromContext(ctx)
			_ = slot.Record(answer)
		}
	}
	of := func(status int) []byte {
		head := fmt.Appendf(nil, `{"status":%d}`, status)
		return append(binary.BigEndian.AppendUint32([]byte{'H'}, uint32(len(head))), head...)
	}
	note := func(p spool.Progress) func(context.Context) {
		return func(ctx context.Context) {
			slot, _ := spool.FromContext(ctx)
			_ = slot.Advance(p)
		}
	}
	for name, tt := range map[string]struct {
		does func(context.Context)
		err  error
		kind sdk.Kind
		held bool
	}{
		"plain, a success in the spool":    {does: answered(of(200)), err: gaveUp, kind: sdk.KindAmbiguous, held: true},
		"plain, a failure in the spool":    {does: answered(of(503)), err: gaveUp, kind: sdk.KindAmbiguous},
		"plain, something in the spool":    {does: answered([]byte("what only the provider reads")), err: gaveUp, kind: sdk.KindAmbiguous, held: true},
		"plain, HTTP in the spool":         {does: answered([]byte("HTTP/1.1 200 OK\r\n\r\n{}")), err: gaveUp, kind: sdk.KindAmbiguous, held: true},
		"plain, HTTP of a failure":         {does: answered([]byte("HTTP/1.1 503 Service Unavailable\r\n\r\n{}")), err: gaveUp, kind: sdk.KindAmbiguous},
		"plain, a short word in the spool": {does: answered([]byte("r2")), err: gaveUp, kind: sdk.KindAmbiguous, held: true},
		"plain, nothing in the spool":      {does: answered([]byte(" \r\n")), err: gaveUp, kind: sdk.KindAmbiguous},
		"without a kind, of a success":     {does: answered(of(200)), err: &sdk.Error{HTTPStatus: 200, Message: "no token"}, kind: sdk.KindAmbiguous, held: true},
		"without a kind, of a failure":     {does: answered(of(503)), err: &sdk.Error{HTTPStatus: 503, Message: "busy"}, kind: sdk.KindTransient},
		"without a kind":                   {does: func(context.Context) {}, err: &sdk.Error{Message: "no idea"}, kind: sdk.KindAmbiguous},
		"of a kind that nobody knows":      {does: func(context.Context) {}, err: &sdk.Error{Kind: "new", Message: "no idea"}, kind: sdk.KindAmbiguous},
		"plain":                            {does: func(context.Context) {}, err: gaveUp, kind: sdk.KindAmbiguous},
		"plain, before the send":           {does: note(spool.Ready), err: gaveUp, kind: sdk.KindNotSent},
		"plain, after the send":            {does: note(spool.Sent), err: gaveUp, kind: sdk.KindAmbiguous},
		"of a kind, after the send":        {does: note(spool.Sent), err: &sdk.Error{Kind: sdk.KindTransient, HTTPStatus: 503, Message: "busy"}, kind: sdk.KindTransient},
		"of a kind, wrapped, and not sent": {does: func(context.Context) {}, err: fmt.Errorf("no way there: %w", sdk.ErrNotSent), kind: sdk.KindNotSent},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
				tt.does(ctx)
				return sdk.Token{}, tt.err
			})
			_, err := w.Refresh(t.Context(), request("a", "main"))
			wantKind(t, err, tt.kind)
			if e := (*sdk.Error)(nil); !errors.As(err, &e) || e.Unread != tt.held {
				t.Errorf("%+v, and what lies in the spool is held: want %t", e, tt.held)
			}
			if !strings.Contains(err.Error(), tt.err.Error()) {
				t.Errorf("%v does not say what happened", err)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	var left time.Duration
	w := newWorld(t, t.TempDir(), func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
		at, ok := ctx.Deadline()
		if !ok {
			t.Error("an attempt without an end")
		}
		left = time.Until(at)
		return token(), nil
	})
	req := request("a", "main")
	req.Attempt.Deadline = time.Now().Add(10 * time.Minute)
	if _, err := w.Refresh(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if left < 9*time.Minute || left > 10*time.Minute {
		t.Errorf("%s were left of 10m", left)
	}
	if _, err := w.Refresh(t.Context(), request("b", "other")); err != nil {
		t.Fatal(err)
	}
	if left <= 0 || left > time.Minute {
		t.Errorf("%s were left of the default", left)
	}
}

func TestIncompleteRequests(t *testing.T) {
	w := newWorld(t, t.TempDir(), grant)
	for _, req := range []sdk.RefreshRequest{request("", "main"), request("a", "")} {
		_, err := w.Refresh(t.Context(), req)
		wantKind(t, err, sdk.KindNotSent)
	}
	if w.fake.calls.Load() != 0 {
		t.Error("the provider was called")
	}
}

func TestOptionalCalls(t *testing.T) {
	w := newWorld(t, t.TempDir(), grant)
	d, err := w.Describe(t.Context())
	if err != nil || d.Authorizer || d.Checker || d.Revoker {
		t.Errorf("described as %+v, %v", d, err)
	}
	_, urlErr := w.AuthCodeURL(t.Context(), sdk.AuthRequest{})
	_, exchangeErr := w.Exchange(t.Context(), sdk.ExchangeRequest{})
	for call, err := range map[string]error{
		"AuthCodeURL": urlErr, "Exchange": exchangeErr,
		"Check": w.Check(t.Context(), sdk.CheckRequest{}), "Revoke": w.Revoke(t.Context(), sdk.RevokeRequest{}),
	} {
		if !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestTokenWithoutAccessTokenIsAmbiguous(t *testing.T) {
	w := newWorld(t, t.TempDir(), func(context.Context, sdk.RefreshRequest) (sdk.Token, error) { return sdk.Token{}, nil })
	_, err := w.Refresh(t.Context(), request("a", "main"))
	if !errors.Is(err, sdk.ErrAmbiguous) {
		t.Error(err)
	}
}

// An attempt that does not mind its deadline keeps no process for ever.
func TestDrainEndsWithoutAnAttemptThatNeverReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sp, err := spool.Open(t.Context(), t.TempDir(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer sp.Close()
		h := newHeld()
		server := sdk.NewServer(&fake{refresh: func(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
			return h.refresh(context.Background(), sdk.RefreshRequest{})
		}}, func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler))
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = server.Refresh(t.Context(), &pb.RefreshRequest{
				Attempt: &pb.Attempt{Id: "a", Deadline: timestamppb.New(began.Add(30 * time.Second))},
				Account: &pb.Account{Name: "main"},
			})
		}()
		<-h.arrived
		if server.Drain() {
			t.Error("the drain says that everything has ended")
		}
		if took := time.Since(began); took != 33*time.Second {
			t.Errorf("the drain took %s, want the deadline of 30 s and a little", took)
		}
		close(h.release)
		<-done
	})
}
