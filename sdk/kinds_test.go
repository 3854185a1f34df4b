package sdk_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// many has every kind of grant and no refresh token.
type many struct {
	sdk.NoRefresh
	calls []string
	life  sdk.Life
	err   error
}

func (*many) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "many", Logins: []sdk.LoginShape{sdk.LoginDevice}, Repeat: sdk.RepeatLimited, KeepaliveEvery: time.Minute, Policy: sdk.Policy{OldAccessLives: true},
	}, nil
}

func (m *many) answer(call string) (sdk.Token, error) {
	m.calls = append(m.calls, call)
	return sdk.Token{AccessToken: sdk.NewSecret("A"), IssuedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Lifetime: time.Hour}, m.err
}

func (m *many) Renew(_ context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	return m.answer("renew " + req.Account.Name + " " + req.Token.AccessToken.Reveal())
}

func (m *many) Mint(_ context.Context, req sdk.MintRequest) (sdk.Token, error) {
	return m.answer("mint " + req.Account.Name + " " + req.Attempt.ID)
}

func (m *many) KeepAlive(context.Context, sdk.KeepaliveRequest) (sdk.Life, error) {
	if m.life == "panic" {
		panic("a secret")
	}
	return m.life, m.err
}

func (m *many) BeginLogin(_ context.Context, req sdk.BeginLoginRequest) (sdk.Login, error) {
	return sdk.Login{Shape: req.Shape, UserCode: "WDJB", PollEvery: 5 * time.Second, Private: map[string]sdk.Secret{"device_code": sdk.NewSecret("D")}}, nil
}

func (m *many) EndLogin(_ context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	return m.answer(fmt.Sprintf("end %s %s", req.Login.Private["device_code"].Reveal(), req.Given.Reveal()))
}

// The attempts of all kinds go the way of a refresh: one call, spooled, answered
// from there by the next process.
func TestKindsOverTheWire(t *testing.T) {
	dir := t.TempDir()
	sp, err := spool.Open(t.Context(), dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	p := &many{}
	w := newWorld(t, t.TempDir(), grant)
	w.serveAs(t, p, func() (*spool.Spool, error) { return sp, nil })
	ctx := t.Context()
	d, err := w.Describe(ctx)
	if !d.Policy.OldAccessLives || d.Policy.OldAccessDies {
		t.Errorf("%+v", d.Policy)
	}
	if err != nil || !d.Renewer || !d.Minter || !d.Keepalive || !d.LoginGuide || !d.NoRefresh || d.Authorizer ||
		d.Repeat != sdk.RepeatLimited || d.KeepaliveEvery != time.Minute || !reflect.DeepEqual(d.Logins, []sdk.LoginShape{sdk.LoginDevice}) {
		t.Errorf("%+v, %v", d, err)
	}
	if _, err := w.Refresh(ctx, request("r", "main")); !errors.Is(err, sdk.ErrUnimplemented) {
		t.Errorf("Refresh: %v", err)
	}
	login, err := w.BeginLogin(ctx, sdk.BeginLoginRequest{Account: sdk.Account{Name: "a3"}, Shape: sdk.LoginDevice})
	if err != nil || login.UserCode != "WDJB" || login.PollEvery != 5*time.Second {
		t.Errorf("%+v, %v", login, err)
	}
	attempts := map[string]func(*sdk.Remote) (sdk.Answer, error){
		"renew": func(r *sdk.Remote) (sdk.Answer, error) {
			return r.RenewAnswer(ctx, sdk.RenewRequest{Attempt: sdk.Attempt{ID: "1"}, Account: sdk.Account{Name: "a1"}, Token: sdk.Token{AccessToken: sdk.NewSecret("old")}})
		},
		"mint": func(r *sdk.Remote) (sdk.Answer, error) {
			return r.MintAnswer(ctx, sdk.MintRequest{Attempt: sdk.Attempt{ID: "2"}, Account: sdk.Account{Name: "a2"}})
		},
		"login": func(r *sdk.Remote) (sdk.Answer, error) {
			return r.EndLoginAnswer(ctx, sdk.EndLoginRequest{Attempt: sdk.Attempt{ID: "3"}, Account: sdk.Account{Name: "a3"}, Login: login, Given: sdk.NewSecret("G")})
		},
	}
	calls := map[string]string{"renew": "renew a1 old", "mint": "mint a2 2", "login": "end D G"}
	for kind, ask := range attempts {
		p.calls = nil
		first, err := ask(w.Remote)
		if err != nil || first.Recovered || !reflect.DeepEqual(p.calls, []string{calls[kind]}) {
			t.Errorf("%s: %v, calls %v", kind, err, p.calls)
		}
		contents, err := w.Unsettled(ctx)
		if err != nil || len(contents.Entries) != 1 || contents.Entries[0].Kind != kind || contents.Entries[0].Progress != spool.Answered {
			t.Errorf("%s: in the spool stands %+v, %v", kind, contents.Entries, err)
		}
		if err := sp.Close(); err != nil {
			t.Fatal(err)
		}
		if sp, err = spool.Open(ctx, dir, 2); err != nil {
			t.Fatal(err)
		}
		reopened := sp
		w.serveAs(t, p, func() (*spool.Spool, error) { return reopened, nil })
		again, err := ask(w.Remote)
		if err != nil || !again.Recovered || len(p.calls) != 1 || !reflect.DeepEqual(again.Token, first.Token) {
			t.Errorf("%s, recovered: %v, calls %v", kind, err, p.calls)
		}
		if err := w.Settle(ctx, contents.Entries[0].Attempt); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = sp.Close() })

	for _, life := range []sdk.Life{sdk.Alive, sdk.Competing, sdk.Gone} {
		p.life = life
		if got, err := w.KeepAlive(ctx, sdk.KeepaliveRequest{}); got != life || err != nil {
			t.Errorf("%s: %s, %v", life, got, err)
		}
	}
	p.life = "panic"
	if _, err := w.KeepAlive(ctx, sdk.KeepaliveRequest{}); sdk.KindOf(err) != sdk.KindTransient || !strings.Contains(err.Error(), "the provider panicked: string") || strings.Contains(err.Error(), "a secret") {
		t.Errorf("a panic: %v", err)
	}
	p.life = "so so"
	if got, err := w.KeepAlive(ctx, sdk.KeepaliveRequest{}); err == nil || got != "" {
		t.Errorf("an unknown life is %q", got)
	}
	p.err = &sdk.Error{Kind: sdk.KindPending, Message: "not yet"}
	if _, err := w.EndLogin(ctx, sdk.EndLoginRequest{Attempt: sdk.Attempt{ID: "4"}, Account: sdk.Account{Name: "a4"}}); sdk.KindOf(err) != sdk.KindPending {
		t.Errorf("a login that waits: %v", err)
	}
}

// refreshes implements nothing but refreshes, which it leaves to the test.
type refreshes struct{ sdk.Provider }

// A token that was spooled whole is given by a build of the provider, too, that does not
// implement the call any more; nothing else is answered, or takes a slot.
func TestSpooledTokenOfACallThatIsGone(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	w := newWorld(t, t.TempDir(), grant)
	open := func() *spool.Spool {
		sp, err := spool.Open(ctx, dir, 2)
		if err != nil {
			t.Fatal(err)
		}
		return sp
	}
	for kind, ask := range map[string]func(id string) (sdk.Answer, error){
		"refresh": func(id string) (sdk.Answer, error) { return w.RefreshAnswer(ctx, request(id, "a4")) },
		"renew": func(id string) (sdk.Answer, error) {
			return w.RenewAnswer(ctx, sdk.RenewRequest{Attempt: sdk.Attempt{ID: id}, Account: sdk.Account{Name: "a1"}})
		},
		"mint": func(id string) (sdk.Answer, error) {
			return w.MintAnswer(ctx, sdk.MintRequest{Attempt: sdk.Attempt{ID: id}, Account: sdk.Account{Name: "a2"}})
		},
		"login": func(id string) (sdk.Answer, error) {
			return w.EndLoginAnswer(ctx, sdk.EndLoginRequest{Attempt: sdk.Attempt{ID: id}, Account: sdk.Account{Name: "a3"}})
		},
	} {
		sp, had, has := open(), sdk.Provider(&many{}), sdk.Provider(refreshes{&many{}})
		if kind == "refresh" {
			had, has = refreshes{w.fake}, &many{}
		}
		w.serveAs(t, had, func() (*spool.Spool, error) { return sp, nil })
		first, err := ask(kind)
		if err != nil {
			t.Fatal(kind, err)
		}
		_ = sp.Close()
		sp = open()
		w.serveAs(t, has, func() (*spool.Spool, error) { return sp, nil })
		again, err := ask(kind)
		if err != nil || !again.Recovered || !reflect.DeepEqual(again.Token, first.Token) {
			t.Errorf("%s: %+v, %v", kind, again, err)
		}
		if err := w.Settle(ctx, kind); err != nil {
			t.Fatal(err)
		}
		if _, err := ask("another"); !errors.Is(err, sdk.ErrUnimplemented) || len(sp.Unsettled()) > 0 {
			t.Errorf("%s of which nothing is spooled: %v, %+v", kind, err, sp.Unsettled())
		}
		_ = sp.Close()
	}
}

// The messages of version 1, as its builds send them, are what they were.
func TestMessagesOfVersion1(t *testing.T) {
	const described = "0a0461636d651205302e392e301a210a0308b009120308901c180120012a02083c32086f7074696f6e616c3a0308ac02" +
		"22130a09746f6b656e5f75726c120657686572652e2801"
	const answered = "0a270a014112015232060880f2d6ca063a0308b0095a120a0d636f64655f76657269666965721201561001"
	w := newVersion1(t, map[string]string{"Describe": described, "Refresh": answered})
	d, err := w.Describe(t.Context())
	want := sdk.Description{
		Name: "acme", Version: "0.9.0", Authorizer: true,
		Policy: sdk.Policy{
			AccessLifetime: 20 * time.Minute, RefreshLifetime: time.Hour, Sliding: true, Rotates: true, ReuseGrace: time.Minute,
			PKCE: sdk.PKCEOptional, BeforeExpiry: 5 * time.Minute,
		},
		Settings: []sdk.Setting{{Name: "token_url", Description: "Where."}},
	}
	if err != nil || !reflect.DeepEqual(d, want) {
		t.Errorf("described %+v, %v", d, err)
	}
	a, err := w.RefreshAnswer(t.Context(), request("1", "main"))
	if err != nil || !a.Recovered || a.Token.RefreshToken.Reveal() != "R" || a.Token.Private["code_verifier"].Reveal() != "V" {
		t.Errorf("answered %+v, %v", a, err)
	}
	// What it does not know it does not do, and says so.
	for name, err := range map[string]error{
		"Renew": second(w.Renew(t.Context(), sdk.RenewRequest{})), "Mint": second(w.Mint(t.Context(), sdk.MintRequest{})),
		"KeepAlive": second(w.KeepAlive(t.Context(), sdk.KeepaliveRequest{})), "BeginLogin": second(w.BeginLogin(t.Context(), sdk.BeginLoginRequest{})),
		"EndLogin": second(w.EndLogin(t.Context(), sdk.EndLoginRequest{})),
	} {
		if !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// asIs hands the bytes of messages through.
type asIs struct{}

func (asIs) Name() string                       { return "proto" }
func (asIs) Marshal(v any) ([]byte, error)      { return v.([]byte), nil }
func (asIs) Unmarshal(data []byte, v any) error { *v.(*[]byte) = data; return nil }

// newVersion1 is a process of version 1: it answers with the bytes given, and knows
// no other methods.
func newVersion1(t *testing.T, answers map[string]string) *sdk.Remote {
	t.Helper()
	service := grpc.ServiceDesc{ServiceName: pb.Provider_ServiceDesc.ServiceName, HandlerType: (*any)(nil)}
	for method, text := range answers {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		service.Methods = append(service.Methods, grpc.MethodDesc{
			MethodName: method,
			Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
				return b, nil
			},
		})
	}
	g := grpc.NewServer(grpc.ForceServerCodec(asIs{}))
	g.RegisterService(&service, nil)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient("passthrough:///version1",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return sdk.NewRemote(conn)
}

var _ encoding.Codec = asIs{}

// unending does not mind that its time is over.
type unending struct {
	sdk.NoRefresh
	entered, leave chan struct{}
}

func (*unending) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{Name: "unending", KeepaliveEvery: time.Minute}, nil
}

func (u *unending) KeepAlive(context.Context, sdk.KeepaliveRequest) (sdk.Life, error) {
	u.entered <- struct{}{}
	<-u.leave
	return sdk.Alive, nil
}

// Calls that do not end do not heap up in a provider: an account has one at a time.
func TestOneKeepAliveOfAnAccountAtATime(t *testing.T) {
	synctest.Test(t, testOneKeepAliveOfAnAccountAtATime)
}

func testOneKeepAliveOfAnAccountAtATime(t *testing.T) {
	u := &unending{entered: make(chan struct{}, 9), leave: make(chan struct{})}
	s := sdk.NewServer(u, func() (*spool.Spool, error) { return nil, errors.New("none") }, slog.New(slog.DiscardHandler))
	ask := func(name string) error {
		_, err := s.KeepAlive(t.Context(), &pb.KeepAliveRequest{Account: &pb.Account{Name: name}})
		return err
	}
	first := make(chan error, 2)
	for _, name := range []string{"one", "other"} {
		go func() { first <- ask(name) }()
		<-u.entered
	}
	if err := ask("one"); err == nil || !strings.Contains(err.Error(), "account one: an earlier call is still under way") || len(u.entered) > 0 {
		t.Errorf("beside another: %v", err)
	}
	next := make(chan error, 1)
	go func() { next <- ask("other") }() // whose time is over, and which needs a moment to see that
	synctest.Wait()
	close(u.leave)
	if err := <-next; err != nil {
		t.Errorf("after one that was under way still: %v", err)
	}
	for range 2 {
		if err := <-first; err != nil {
			t.Error(err)
		}
	}
	if err := ask("one"); err != nil {
		t.Errorf("after that: %v", err)
	}
}
