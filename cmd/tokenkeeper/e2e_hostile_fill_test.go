package main

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	providersays "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	sinksays "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// filled puts a text into every field of a message that takes one, at every
// depth: also into those that the contract gets later.
func filled[M proto.Message](m M, said string) M {
	fill(m.ProtoReflect(), strings.ToValidUTF8(said, "?"))
	return m
}

func fill(m protoreflect.Message, said string) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		switch {
		case f.IsMap():
			if f.MapValue().Kind() == protoreflect.StringKind {
				m.Mutable(f).Map().Set(protoreflect.ValueOfString(said).MapKey(), protoreflect.ValueOfString(said))
			}
		case f.Kind() == protoreflect.MessageKind && f.Message().ParentFile().Package() == "google.protobuf":
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			list := m.Mutable(f).List()
			fill(list.AppendMutable().Message(), said)
		case f.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(f).Message(), said)
		case f.Kind() == protoreflect.StringKind && f.IsList():
			m.Mutable(f).List().Append(protoreflect.ValueOfString(said))
		case f.Kind() == protoreflect.StringKind:
			m.Set(f, protoreflect.ValueOfString(said))
		case f.Kind() == protoreflect.BytesKind && !f.IsList():
			m.Set(f, protoreflect.ValueOfBytes([]byte(said)))
		}
	}
}

// modeOf is how the hostile plugins answer now.
func modeOf() string {
	mode, _ := os.ReadFile(filepath.Join(os.TempDir(), "mode"))
	return string(mode)
}

// Exchange fails, or says all that it knows beside a token.
func (p *hostileProvider) Exchange(_ context.Context, r *providersays.ExchangeRequest) (*providersays.TokenResponse, error) {
	p.hear(r.GetAccount(), nil, r.GetCode(), r.GetCodeVerifier())
	if modeOf() == "login-answer" {
		return p.answer(r.GetAccount()), nil
	}
	failure := filled(&providersays.Failure{}, p.memory.text())
	failure.Kind = "invalid_grant"
	return nil, detailed(codes.Unavailable, failure.Message, failure)
}

// loginToldEverything logs in at the hostile provider: with an answer of another
// issuer, with a code that it refuses, and with one that it takes. It returns
// what people are told.
func loginToldEverything(t *testing.T, s *site) (told string) {
	t.Helper()
	c := control.NewClient(s.path("state/control.sock"))
	defer c.Close()
	for _, try := range []struct{ mode, more string }{{"login", "&iss=https%3A%2F%2Fevil.example"}, {"login", ""}, {"login-answer", ""}} {
		write(t, s.path("mode"), try.mode)
		begun, err := c.Login(t.Context(), "told", "")
		if err != nil {
			t.Fatalf("the login of %q: %v", try.mode, err)
		}
		u, err := url.Parse(begun.Address)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.CompleteLogin(t.Context(), "told", "https://127.0.0.1:8182/?code="+canaryWord+"-code&state="+u.Query().Get("state")+try.more)
		if (err == nil) != (try.mode == "login-answer") {
			t.Errorf("login, %q%s: %v", try.mode, try.more, err)
		}
		if err != nil {
			told += err.Error() + "\n"
		}
	}
	if !strings.Contains(told, "another authorization server") || !strings.Contains(told, "[redacted]") {
		t.Errorf("nothing was said of the issuer, or nothing redacted: %s", told)
	}
	return told
}

// TestEveryFieldIsFilled: what says everything says it in each field that takes
// a text, or else searching for it would prove little.
func TestEveryFieldIsFilled(t *testing.T) {
	texts := 0
	for _, m := range []proto.Message{
		&providersays.DescribeResponse{}, &providersays.TokenResponse{}, &providersays.AuthCodeURLResponse{}, &providersays.UnsettledResponse{},
		&providersays.SettleResponse{}, &providersays.Failure{}, &sinksays.DescribeResponse{}, &sinksays.RestoreResponse{}, &sinksays.Failure{},
	} {
		var count func(protoreflect.Message)
		count = func(m protoreflect.Message) {
			fields := m.Descriptor().Fields()
			for i := range fields.Len() {
				f := fields.Get(i)
				takesText := f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind ||
					f.IsMap() && f.MapValue().Kind() == protoreflect.StringKind
				switch {
				case takesText && !m.Has(f):
					t.Errorf("%s is empty", f.FullName())
				case takesText:
					texts++
				case f.Kind() == protoreflect.MessageKind && f.IsList() && m.Has(f):
					count(m.Get(f).List().Get(0).Message())
				case f.Kind() == protoreflect.MessageKind && !f.IsMap() && m.Has(f):
					count(m.Get(f).Message())
				}
			}
		}
		count(filled(m, "said").ProtoReflect())
	}
	if texts < 30 {
		t.Errorf("only %d fields were found", texts)
	}
}
