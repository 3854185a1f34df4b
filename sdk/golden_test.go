package sdk_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

var release = flag.Bool("release", false, "write the golden files, which are never written again")

// frozen is a provider of every kind. Its answers are spooled by package oauth, or,
// where it is plain, by the SDK.
type frozen struct {
	http  oauth.Client
	plain bool
}

func (*frozen) Describe(context.Context) (sdk.Description, error) { return sdk.Description{}, nil }

func (*frozen) endpoint() oauth.Endpoint {
	return oauth.Endpoint{
		TokenURL: "http://frozen.invalid/token", AuthStyle: oauth.AuthInParams, Extra: []string{"base_uri"},
		Private: map[string]sdk.Secret{"verifier": sdk.NewSecret("V")},
	}
}

// token is the answer as the SDK spools it.
func (p *frozen) token(ask func() (sdk.Token, error)) (sdk.Token, error) {
	t, err := ask()
	if err == nil && p.plain {
		t.TokenType = "plain"
	}
	return t, err
}

// past takes the spool out of ctx, so that package oauth does not use it.
func (p *frozen) past(ctx context.Context) context.Context {
	if p.plain {
		return context.Background()
	}
	return ctx
}

func (p *frozen) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return p.token(func() (sdk.Token, error) { return p.http.Refresh(p.past(ctx), p.endpoint(), req) })
}

func (*frozen) AuthCodeURL(context.Context, sdk.AuthRequest) (string, error) { return "", nil }

func (p *frozen) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	return p.token(func() (sdk.Token, error) { return p.http.Exchange(p.past(ctx), p.endpoint(), req) })
}

func (p *frozen) Renew(ctx context.Context, req sdk.RenewRequest) (sdk.Token, error) {
	return p.token(func() (sdk.Token, error) { return p.http.Renew(p.past(ctx), p.endpoint(), req) })
}

func (p *frozen) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	return p.token(func() (sdk.Token, error) { return p.http.Mint(p.past(ctx), p.endpoint(), req) })
}

func (*frozen) BeginLogin(context.Context, sdk.BeginLoginRequest) (sdk.Login, error) {
	return sdk.Login{}, nil
}

func (p *frozen) EndLogin(ctx context.Context, req sdk.EndLoginRequest) (sdk.Token, error) {
	return p.token(func() (sdk.Token, error) { return p.http.EndDevice(p.past(ctx), p.endpoint(), req) })
}

const frozenAnswer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nDate: Sat, 01 Jan 2000 00:00:00 GMT\r\nConnection: close\r\n\r\n" +
	`{"access_token":"A2","refresh_token":"R2","token_type":"Bearer","scope":"trade","expires_in":1234,"refresh_token_expires_in":3600,"base_uri":"https://api.invalid"}`

// answers every connection with [frozenAnswer].
func answers(context.Context, string, string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		req, err := http.ReadRequest(bufio.NewReader(theirs))
		if err == nil {
			_, err = io.Copy(io.Discard, req.Body)
		}
		if err == nil {
			_, _ = io.WriteString(theirs, frozenAnswer)
		}
	}()
	return ours, nil
}

func refuses(context.Context, string, string) (net.Conn, error) {
	return nil, errors.New("nothing may be sent")
}

// attempts are one of each kind, with what it takes.
var attempts = map[string]func(*sdk.Server, *pb.Attempt) (*pb.TokenResponse, error){
	spool.KindRefresh: func(s *sdk.Server, a *pb.Attempt) (*pb.TokenResponse, error) {
		return s.Refresh(context.Background(), &pb.RefreshRequest{Attempt: a, Account: frozenAccount, Token: frozenToken})
	},
	spool.KindExchange: func(s *sdk.Server, a *pb.Attempt) (*pb.TokenResponse, error) {
		return s.Exchange(context.Background(), &pb.ExchangeRequest{Attempt: a, Account: frozenAccount, Code: "C"})
	},
	spool.KindRenew: func(s *sdk.Server, a *pb.Attempt) (*pb.TokenResponse, error) {
		return s.Renew(context.Background(), &pb.RenewRequest{Attempt: a, Account: frozenAccount, Token: frozenToken})
	},
	spool.KindMint: func(s *sdk.Server, a *pb.Attempt) (*pb.TokenResponse, error) {
		return s.Mint(context.Background(), &pb.MintRequest{Attempt: a, Account: frozenAccount})
	},
	spool.KindLogin: func(s *sdk.Server, a *pb.Attempt) (*pb.TokenResponse, error) {
		return s.EndLogin(context.Background(), &pb.EndLoginRequest{
			Attempt: a, Account: frozenAccount, Login: &pb.Login{Shape: "device", Private: map[string]string{"device_code": "D"}},
		})
	},
}

var (
	frozenAccount = &pb.Account{Name: "saxo-live", ClientId: "app", ClientSecret: "secret"}
	frozenToken   = &pb.Token{AccessToken: "A1", RefreshToken: "R1"}
)

// spooled runs an attempt on a spool in dir.
func spooled(t *testing.T, dir, kind string, p *frozen) (*pb.TokenResponse, []spool.Entry) {
	t.Helper()
	sp, err := spool.Open(t.Context(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer sp.Close()
	before := sp.Unsettled()
	s := sdk.NewServer(p, func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler))
	answer, err := attempts[kind](s, &pb.Attempt{Id: "0197c5a1-attempt", Version: 42, Fingerprint: "8899aabbccddeeff"})
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	return answer, before
}

// Answers of every kind that were spooled by an earlier release are read by this one,
// sent nothing for, and written today as they were then.
func TestGoldenAnswers(t *testing.T) {
	for kind := range attempts {
		for layout, plain := range map[string]bool{"oauth": false, "token": true} {
			t.Run(kind+"-"+layout, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { // in which it is always the same day
					path := filepath.Join("testdata", "answers", kind+"-"+layout)
					dir := t.TempDir()
					spooled(t, dir, kind, &frozen{http: oauth.Client{Dial: answers}, plain: plain})
					today, err := os.ReadFile(filepath.Join(dir, "slot-000"))
					if err != nil {
						t.Fatal(err)
					}
					today = bytes.TrimRight(today, "\x00")
					if *release {
						if _, err := os.Lstat(path); err == nil {
							t.Fatal("what was released is never written again")
						}
						if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, today, 0o644)); err != nil {
							t.Fatal(err)
						}
					}
					wantsFrozen(t, path, kind, plain)
					if golden, err := os.ReadFile(path); err != nil || !bytes.Equal(golden, today) {
						t.Errorf("it is written in another way today: %v", err)
					}
				})
			})
		}
	}
}

// What a plugin of version 1 of the contract has spooled, built from a commit before
// version 2, is read by the plugin that takes its place.
func TestYesterdaysAnswers(t *testing.T) {
	for _, kind := range []string{spool.KindRefresh, spool.KindExchange} {
		for layout, plain := range map[string]bool{"oauth": false, "token": true} {
			t.Run(kind+"-"+layout, func(t *testing.T) {
				wantsFrozen(t, filepath.Join("testdata", "answers-1", kind+"-"+layout), kind, plain)
			})
		}
	}
}

// wantsFrozen reads a frozen slot as the process after the one that wrote it would.
func wantsFrozen(t *testing.T, path, kind string, plain bool) {
	t.Helper()
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sp, err := spool.Open(t.Context(), dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	slot := filepath.Join(dir, "slot-000")
	size, err := os.Stat(slot)
	if err = errors.Join(err, sp.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(slot, append(golden, make([]byte, int(size.Size())-len(golden))...), 0o600); err != nil {
		t.Fatal(err)
	}
	got, before := spooled(t, dir, kind, &frozen{http: oauth.Client{Dial: refuses}, plain: plain})
	if len(before) != 1 || before[0].Kind != kind || before[0].Progress != spool.Answered || before[0].Version != 42 {
		t.Errorf("the spool lists %+v", before)
	}
	want := &pb.Token{
		AccessToken: "A2", RefreshToken: "R2", TokenType: "Bearer", Scope: "trade",
		IssuedAt: got.GetToken().GetIssuedAt(), Skew: got.GetToken().GetSkew(),
		Lifetime: durationpb.New(1234 * time.Second), RefreshLifetime: durationpb.New(time.Hour),
		Extra: map[string]string{"base_uri": "https://api.invalid"}, Private: map[string]string{"verifier": "V"},
	}
	if plain {
		want.TokenType = "plain"
	}
	if !got.GetRecovered() || !proto.Equal(got.GetToken(), want) || got.GetToken().GetIssuedAt().AsTime().Year() != 2000 {
		t.Errorf("recovered %t: %s\nwant %s", got.GetRecovered(), got.GetToken(), want)
	}
}
