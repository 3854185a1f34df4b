package hearsay

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sink "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// answering is a plugin whose calls are answered by a function.
type answering func(request, reply any) error

func (f answering) Invoke(_ context.Context, _ string, request, reply any, _ ...grpc.CallOption) error {
	return f(request, reply)
}

func (f answering) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	panic("no call is a stream")
}

// A plugin that prints a token before it answers with it prints it to nobody.
func TestNewTokenIsKnownBeforeALineIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "a-token-that-is-new-0123"
		s := New()
		var mu sync.Mutex
		var lines []string
		say := func(text string) {
			s.WhenKnown(func() {
				mu.Lock()
				defer mu.Unlock()
				lines = append(lines, s.Clean(text, Sentence))
			})
		}
		told := func() []string {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(lines)
		}
		conn := Conn{Secrets: s, To: answering(func(_, reply any) error {
			say("got " + secret)
			time.Sleep(time.Second)
			say("and again " + secret)
			if told := told(); len(told) != 1 {
				t.Errorf("told while the call was open: %q", told)
			}
			reply.(*provider.TokenResponse).Token = &provider.Token{AccessToken: secret}
			return nil
		})}
		say("before")
		request := &provider.RefreshRequest{Account: &provider.Account{Name: "a"}}
		if err := conn.Invoke(t.Context(), "Refresh", request, &provider.TokenResponse{}); err != nil {
			t.Fatal(err)
		}
		say("behind")
		if got, want := told(), []string{"before", "got " + redacted, "and again " + redacted, "behind"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}

		// A call that hangs holds nothing up for long.
		lines = nil
		conn.To = answering(func(any, any) error {
			say("sending")
			time.Sleep(delayMost - time.Millisecond)
			if told := told(); len(told) > 0 {
				t.Errorf("told too early: %q", told)
			}
			time.Sleep(time.Minute)
			if told := told(); strings.Join(told, "") != "sending" {
				t.Errorf("told after a minute: %q", told)
			}
			return nil
		})
		_ = conn.Invoke(t.Context(), "Refresh", request, &provider.TokenResponse{})
	})
}

// Texts of an answer are cleaned of the tokens that come with it.
func TestAnswerThatTellsItsOwnToken(t *testing.T) {
	s := New()
	secret := canaries[0]
	conn := Conn{Secrets: s, To: answering(func(_, reply any) error {
		r := reply.(*provider.TokenResponse)
		r.Token = &provider.Token{AccessToken: secret, Rescued: "of " + secret, Scope: "as " + secret + "\n"}
		r.SpoolFault = strings.Repeat("x", 1<<20)
		return nil
	})}
	var reply provider.TokenResponse
	if err := conn.Invoke(t.Context(), "Refresh", &provider.RefreshRequest{}, &reply); err != nil {
		t.Fatal(err)
	}
	if reply.GetToken().GetAccessToken() != secret || reply.GetToken().GetRescued() != "of "+redacted || len(reply.GetSpoolFault()) > Sentence {
		t.Errorf("the answer is %v", &reply)
	}
}

// The address of a login goes to a browser as it is, or not at all.
func TestAddressOfALogin(t *testing.T) {
	request := &provider.AuthCodeURLRequest{
		Account: &provider.Account{Name: "a", ClientId: "the-client", ClientSecret: "the-client-secret", Settings: map[string]string{"app_key": "the-app-key"}},
		State:   "the-state", CodeVerifier: "the-code-verifier",
	}
	for address, refused := range map[string]string{
		"https://broker.example/authorize?client_id=the-client&state=the-state&code_challenge=the-code-verifier&key=the-app-key": "",
		"http://127.0.0.1:8080/authorize":                         "",
		"https://broker.example/?client_secret=the-client-secret": "the client's secret",
		"https://broker.example/?x=dGhlLWNsaWVudC1zZWNyZXQ":       "the client's secret",
		"https://user:pass@broker.example/":                       "a user's name",
		"https://broker.example/\x1b[2J":                          "characters",
		"https://broker.example/\u202egnp":                        "characters",
		"https://broker.example/a b":                              "characters",
		"javascript:alert(1)":                                     "not one of the web",
		"file:///etc/passwd":                                      "not one of the web",
		"https://broker.example/" + strings.Repeat("x", 9<<10):    "bytes",
		"": "not one of the web",
	} {
		conn := Conn{Secrets: New(), To: answering(func(_, reply any) error {
			reply.(*provider.AuthCodeURLResponse).Url = address
			return nil
		})}
		err := conn.Invoke(t.Context(), "AuthCodeURL", request, &provider.AuthCodeURLResponse{})
		if (err == nil) != (refused == "") || err != nil && (!strings.Contains(err.Error(), refused) || strings.Contains(err.Error(), "secret-")) {
			t.Errorf("%.80q: %v, want %q", address, err, refused)
		}
	}
}

// What a plugin calls a secret in its description is one, whatever it is named
// and looks like, and stays one when a later process says otherwise. Who knows
// nothing of that is judged as before.
func TestSettingsThatThePluginCallsSecret(t *testing.T) {
	const phrase, plain = "correct horse", "plain words"
	settings := map[string]string{"greeting": phrase, "remark": plain}
	say := answering(func(any, any) error { return status.Error(codes.Unavailable, phrase+", "+plain) })
	for name, tt := range map[string]struct {
		description, request, reply proto.Message
	}{
		"a provider": {
			&provider.DescribeResponse{Settings: []*provider.Setting{{Name: "greeting", Secret: true}, {Name: "remark"}}},
			&provider.RefreshRequest{Account: &provider.Account{Name: "a", Settings: settings}}, &provider.TokenResponse{},
		},
		"a sink": {
			&sink.DescribeResponse{Settings: []*sink.Setting{{Name: "greeting", Secret: true}, {Name: "remark"}}},
			&sink.TestRequest{Account: "a", Destination: &sink.Destination{Settings: settings}}, &sink.TestResponse{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := New()
			for _, d := range []struct {
				says proto.Message
				want string
			}{
				{tt.description.ProtoReflect().New().Interface(), phrase + ", " + plain},
				{tt.description, redacted + ", " + plain},
				{tt.description.ProtoReflect().New().Interface(), redacted + ", " + plain},
			} {
				describe := answering(func(_, reply any) error { proto.Merge(reply.(proto.Message), d.says); return nil })
				if err := (Conn{Secrets: s, To: describe}).Invoke(t.Context(), "Describe", &provider.DescribeRequest{}, tt.description.ProtoReflect().New().Interface()); err != nil {
					t.Fatal(err)
				}
				err := Conn{Secrets: s, To: say}.Invoke(t.Context(), "Do", tt.request, tt.reply)
				if got := status.Convert(err).Message(); got != d.want {
					t.Errorf("says %q, want %q", got, d.want)
				}
			}
		})
	}
}

// A proxy whose address is given by reference, for the password in it, is told of by its
// host all the same, and the password never.
func TestProxyByReferenceIsNamed(t *testing.T) {
	const host, password = "proxy.example.org:3128", "canary-pw-of-a-proxy"
	for _, address := range []string{"http://me:" + password + "@" + host, "socks5://me:" + password + "@" + host + "/", "http://" + host} {
		request := &provider.RefreshRequest{Account: &provider.Account{Name: "a", Settings: map[string]string{"proxy": address}}}
		say := answering(func(any, any) error {
			return status.Error(codes.Unavailable, "the proxy "+host+" refuses me: "+address)
		})
		err := Conn{Secrets: NewDeclared([]string{"proxy"}), To: say}.Invoke(t.Context(), "Refresh", request, &provider.TokenResponse{})
		want := "the proxy " + host + " refuses me: " + strings.Replace(address, password, redacted, 1)
		if got := status.Convert(err).Message(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
