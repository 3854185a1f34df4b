package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	providersays "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sinksays "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// hostileVerb and what it is make the test's program a plugin that says all
// that it knows, wherever it can say anything.
const hostileVerb = "hostile"

// tricks are what no text of a plugin may bring to a reader.
const tricks = "\x1b[2J\x1b]0;owned\x07\u202egnp\u2066\u200b\x00\xff\r\n"

// spoken are the forms in which a plugin may tell a secret.
func spoken(secret string) []string {
	quoted, _ := json.Marshal(secret)
	twice, _ := json.Marshal(string(quoted))
	return []string{
		secret, url.QueryEscape(secret), url.PathEscape(secret), strconv.QuoteToASCII(secret), string(quoted), string(twice),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte("x" + secret)), base64.StdEncoding.EncodeToString([]byte("id" + secret + ":")),
		url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(secret))), hex.EncodeToString([]byte(secret)),
	}
}

// memory is what a hostile plugin remembers from one process to the next, and
// where it can tell it: the process's own output, which go-plugin puts pipes in
// the place of. Descriptors that were wrapped anew at each use would be closed
// with what wraps them, and what came next would be written into a connection.
type memory struct {
	path           string
	stdout, stderr *os.File
}

func newMemory(kind string) memory {
	return memory{filepath.Join(os.TempDir(), "known-to-"+kind), os.Stdout, os.Stderr}
}

func (m memory) remember(secrets ...string) {
	f, err := os.OpenFile(m.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic("no memory")
	}
	defer f.Close()
	for _, s := range secrets {
		if len(s) >= fragment {
			_, _ = fmt.Fprintf(f, "%q\n", s)
		}
	}
}

// all is everything that was ever heard, in every form, the newest first.
func (m memory) all() (said []string) {
	known, _ := os.ReadFile(m.path)
	lines := strings.Split(strings.TrimSpace(string(known)), "\n")
	for i := len(lines) - 1; i >= 0 && i >= len(lines)-4; i-- {
		if secret, err := strconv.Unquote(lines[i]); err == nil {
			said = append(said, spoken(secret)...)
		}
	}
	return said
}

// chatter writes what is known to the standard error, in lines of every kind,
// and to the standard output, which carries the handshake first.
func (m memory) chatter(stdout io.Writer) {
	out := m.stderr
	for _, said := range m.all() {
		_, _ = fmt.Fprintf(out, "plain %s and%s\n", said, tricks)
		line, _ := json.Marshal(map[string]any{
			"@level": "warn", "@message": "structured " + said, "field": said, "key " + said: 1, "deep": []any{map[string]any{said: said}},
			"account": "somebody else", "event": "refreshed", "provider": "other", "tricks": tricks,
		})
		_, _ = fmt.Fprintf(out, "%s\n", line)
		_, _ = fmt.Fprintln(stdout, said)
	}
	// One that is cut in the middle of a secret.
	for i, said := range m.all() {
		if i%12 == 0 {
			_, _ = fmt.Fprintf(out, "%s%s\n", strings.Repeat("long ", 8<<10/5-2), said)
		}
	}
}

// text is what is known, as one text.
func (m memory) text() string { return tricks + strings.Join(m.all(), " , ") + tricks }

func serveHostile(kind string) {
	go func() { // it ends when it shall, which is not what is tested here
		fd, _ := strconv.Atoi(os.Getenv(sdk.EnvLifeline))
		_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
		os.Exit(0)
	}()
	known := newMemory(kind)
	name, service := sdk.PluginName, interface{ Register(*grpc.Server) }(&hostileProvider{memory: known})
	if kind == "sink" {
		name, service = sdk.SinkPluginName, &hostileSink{memory: known}
	}
	known.chatter(io.Discard)
	_, _ = io.WriteString(known.stderr, strings.Repeat("noise\n", 1500))
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig: sdk.Handshake(),
		Plugins:         goplugin.PluginSet{name: &sdk.Plugin{Service: service}},
		GRPCServer:      goplugin.DefaultGRPCServer,
	})
}

type hostileProvider struct {
	providersays.UnimplementedProviderServer
	memory memory
}

func (p *hostileProvider) Register(g *grpc.Server) { providersays.RegisterProviderServer(g, p) }

func (p *hostileProvider) Describe(context.Context, *providersays.DescribeRequest) (*providersays.DescribeResponse, error) {
	said := strings.ToValidUTF8(p.memory.text(), "?")
	d := filled(&providersays.DescribeResponse{}, said)
	d.Name, d.Version, d.Authorizer = "hostile", "1.0"+said+strings.Repeat("long", 3<<20/4), true
	d.Policy.AccessLifetime, d.Policy.Rotates = durationpb.New(time.Hour), true
	d.Settings = append(d.Settings, &providersays.Setting{Name: "api_key", Description: said, DefaultValue: said},
		&providersays.Setting{Name: "greeting", Description: said, Secret: true})
	return d, nil
}

func (p *hostileProvider) Ping(context.Context, *providersays.PingRequest) (*providersays.PingResponse, error) {
	return &providersays.PingResponse{}, nil
}

func (p *hostileProvider) hear(a *providersays.Account, t *providersays.Token, more ...string) {
	p.memory.remember(a.GetClientSecret(), a.GetSettings()["api_key"], a.GetSettings()["greeting"], t.GetAccessToken(), t.GetRefreshToken())
	p.memory.remember(more...)
	p.memory.chatter(p.memory.stdout)
}

// Refresh fails in the way that its setting asks for.
func (p *hostileProvider) Refresh(_ context.Context, r *providersays.RefreshRequest) (*providersays.TokenResponse, error) {
	p.hear(r.GetAccount(), r.GetToken())
	said := strings.ToValidUTF8(p.memory.text(), "?")
	failure := filled(&providersays.Failure{}, said)
	failure.Kind = "transient"
	switch mode := modeOf(); mode {
	case "kind":
		failure.Kind = said
	case "unknown":
		failure.Message = `cannot read {"refresh_token":"` + canaryWord + `-of-an-answer-that-failed","expires_in":1800}`
	case "invalid_client", "invalid_grant", "ambiguous":
		failure.Kind = mode
	case "bare":
		return nil, status.Error(codes.Internal, said)
	case "oversized":
		return &providersays.TokenResponse{Token: &providersays.Token{AccessToken: strings.Repeat(r.GetToken().GetAccessToken(), 5<<20/20)}}, nil
	case "answer":
		return p.answer(r.GetAccount()), nil
	}
	return nil, detailed(codes.Unavailable, failure.Message, failure)
}

// answer is a new token, and everything else that can come with one.
func (p *hostileProvider) answer(a *providersays.Account) *providersays.TokenResponse {
	n := strconv.FormatInt(time.Now().UnixNano(), 36)
	t := &providersays.Token{
		AccessToken: canaryWord + "+access/" + n + "-of-an-answer", RefreshToken: canaryWord + "+refresh/" + n + "-of-an-answer",
	}
	p.hear(a, t)
	answer := filled(&providersays.TokenResponse{}, p.memory.text())
	answer.Token.AccessToken, answer.Token.RefreshToken = t.AccessToken, t.RefreshToken
	answer.Token.IssuedAt, answer.Token.Lifetime = timestamppb.Now(), durationpb.New(time.Hour)
	return answer
}

func detailed(code codes.Code, message string, detail protoadapt.MessageV1) error {
	st, err := status.New(code, message).WithDetails(detail)
	if err != nil {
		panic("the detail can't be added")
	}
	return st.Err()
}

func (p *hostileProvider) AuthCodeURL(_ context.Context, r *providersays.AuthCodeURLRequest) (*providersays.AuthCodeURLResponse, error) {
	p.hear(r.GetAccount(), nil, r.GetCodeVerifier())
	if strings.HasPrefix(modeOf(), "login") {
		answer := filled(&providersays.AuthCodeURLResponse{}, p.memory.text())
		answer.Url = "https://login.example/?state=" + r.GetState()
		return answer, nil
	}
	return &providersays.AuthCodeURLResponse{Url: "https://login.example/?client_secret=" + url.QueryEscape(r.GetAccount().GetClientSecret())}, nil
}

// Unsettled tells secrets in the place of names.
func (p *hostileProvider) Unsettled(context.Context, *providersays.UnsettledRequest) (*providersays.UnsettledResponse, error) {
	out := &providersays.UnsettledResponse{Spool: "hostile"}
	for i, said := range p.memory.all() {
		said = strings.ToValidUTF8(said+tricks, "?")
		out.Entries = append(out.Entries, &providersays.SpoolEntry{Attempt: said + strconv.Itoa(i), Account: said, Kind: said, Progress: said})
	}
	return out, nil
}

func (p *hostileProvider) Settle(context.Context, *providersays.SettleRequest) (*providersays.SettleResponse, error) {
	return filled(&providersays.SettleResponse{}, p.memory.text()), nil
}

type hostileSink struct {
	sinksays.UnimplementedSinkServer
	memory memory
}

func (s *hostileSink) Register(g *grpc.Server) { sinksays.RegisterSinkServer(g, s) }

func (s *hostileSink) Describe(context.Context, *sinksays.DescribeRequest) (*sinksays.DescribeResponse, error) {
	said := strings.ToValidUTF8(s.memory.text(), "?")
	d := filled(&sinksays.DescribeResponse{}, said)
	d.Name, d.Version, d.Restorer, d.Tester, d.Notifier = "hostile", "1.0"+said+strings.Repeat("long", 3<<20/4), true, true, true
	d.Settings = append(d.Settings, &sinksays.Setting{Name: "password", Description: said},
		&sinksays.Setting{Name: "greeting", Description: said, Secret: true})
	return d, nil
}

func (s *hostileSink) Ping(context.Context, *sinksays.PingRequest) (*sinksays.PingResponse, error) {
	return &sinksays.PingResponse{}, nil
}

func (s *hostileSink) hear(r interface{ GetDestination() *sinksays.Destination }) {
	s.memory.remember(r.GetDestination().GetSettings()["password"], r.GetDestination().GetSettings()["greeting"])
}

func (s *hostileSink) fail(kind string) error {
	s.memory.chatter(s.memory.stdout)
	failure := filled(&sinksays.Failure{}, s.memory.text())
	failure.Kind = kind
	return detailed(codes.Unavailable, failure.Message, failure)
}

func (s *hostileSink) Deliver(_ context.Context, r *sinksays.DeliverRequest) (*sinksays.DeliverResponse, error) {
	s.memory.remember(r.GetToken().GetAccessToken(), r.GetToken().GetRefreshToken())
	s.hear(r)
	return nil, s.fail("retry")
}

func (s *hostileSink) Restore(context.Context, *sinksays.RestoreRequest) (*sinksays.RestoreResponse, error) {
	return nil, s.fail("nothing_stored")
}

func (s *hostileSink) Test(_ context.Context, r *sinksays.TestRequest) (*sinksays.TestResponse, error) {
	s.hear(r)
	return nil, s.fail("refused")
}

func (s *hostileSink) Notify(_ context.Context, r *sinksays.NotifyRequest) (*sinksays.NotifyResponse, error) {
	s.hear(r)
	return nil, s.fail("later")
}
