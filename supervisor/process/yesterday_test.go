package process

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// version1 is the contract as it was released first.
const version1 = "../../sdk/proto/testdata/provider-1.protoset"

// yesterday is a plugin's process built for version 1 of the contract: its messages
// come from what was released then, and nothing of it from today's SDK. It answers
// each call with the text given, and knows no other calls.
type yesterday struct {
	plugin.NetRPCUnsupportedPlugin
	service protoreflect.ServiceDescriptor
}

func serveYesterday(path string) {
	b, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(b, &set); err != nil {
		panic(err)
	}
	files, err := protodesc.NewFiles(&set)
	if err != nil {
		panic(err)
	}
	service, err := files.FindDescriptorByName("tokenkeeper.provider.v1.Provider")
	if err != nil {
		panic(err)
	}
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "TOKENKEEPER_PLUGIN", MagicCookieValue: "f3e4ab4a-provider"},
		Plugins:         plugin.PluginSet{"provider": &yesterday{service: service.(protoreflect.ServiceDescriptor)}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

// GRPCServer implements [plugin.GRPCPlugin].
func (p *yesterday) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	answers := map[string]string{
		"Describe":  `name: "real" version: "0.9" checker: true policy { access_lifetime { seconds: 1200 } refresh_lifetime { seconds: 3600 } sliding: true rotates: true pkce: "none" }`,
		"Ping":      ``,
		"Refresh":   `token { access_token: "A" refresh_token: "R2" lifetime { seconds: 1200 } }`,
		"Unsettled": `spool: "S"`,
		"Settle":    ``,
	}
	desc := grpc.ServiceDesc{ServiceName: string(p.service.FullName()), HandlerType: (*any)(nil)}
	for name, text := range answers {
		method := p.service.Methods().ByName(protoreflect.Name(name))
		desc.Methods = append(desc.Methods, grpc.MethodDesc{
			MethodName: name,
			Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				if err := read(dynamicpb.NewMessage(method.Input())); err != nil {
					return nil, err
				}
				answer := dynamicpb.NewMessage(method.Output())
				return answer, prototext.Unmarshal([]byte(text), answer)
			},
		})
	}
	g.RegisterService(&desc, nil)
	return nil
}

// GRPCClient implements [plugin.GRPCPlugin].
func (*yesterday) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// Yesterday's plugin runs under today's supervisor, in its own version.
func TestYesterdaysPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := Command{Name: "real", Path: self, Args: []string{"yesterday", version1}, SpoolDir: t.TempDir(), SocketDir: shortDir(t)}
	info, err := Inspect(t.Context(), c)
	if err != nil || info.Protocol != 1 || info.Version != "0.9" {
		t.Fatalf("%+v, %v", info, err)
	}
	d := info.Description
	if d.NoRefresh || d.Renewer || d.Minter || d.Keepalive || d.LoginGuide || !d.Checker || !d.Policy.Rotates || d.Policy.OldAccessDies {
		t.Errorf("described as %+v", d)
	}
	in, err := c.Launch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { in.Kill(); in.End(time.Second) }()
	r := sdk.NewRemote(in.Conn())
	if err := r.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if at, err := r.RefreshAnswer(t.Context(), request("1", "R1", "")); err != nil || at.Token.RefreshToken.Reveal() != "R2" || at.Token.Lifetime != 20*time.Minute {
		t.Errorf("%+v, %v", at, err)
	}
	if got, err := r.Unsettled(t.Context()); err != nil || got.ID != "S" {
		t.Errorf("%+v, %v", got, err)
	}
	if err := r.Settle(t.Context(), "1"); err != nil {
		t.Error(err)
	}
}

// A plugin that needs the second version gets it.
func TestTodaysPlugin(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(t.Context(), Command{Name: "real", Path: self, Args: []string{"kindsplugin"}, SocketDir: shortDir(t)})
	if err != nil || info.Protocol != 2 || !info.Description.Minter {
		t.Fatalf("%+v, %v", info, err)
	}
}

// Under yesterday's supervisor, which offers version 1, a plugin that needs the second
// names that in its handshake, which is refused, and says what to do.
func TestTodaysPluginUnderYesterdaysSupervisor(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := waittest.Context(t.Context(), waittest.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, "kindsplugin")
	var words bytes.Buffer
	cmd.Env = []string{"PLUGIN_PROTOCOL_VERSIONS=1", "TOKENKEEPER_PLUGIN=f3e4ab4a-provider", "TMPDIR=" + shortDir(t)}
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "1|2|") {
		t.Errorf("handshake %q, %v", line, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	const want = "this provider needs version 2 of the provider protocol, and the Tokenkeeper that starts it speaks 1: upgrade Tokenkeeper, or"
	if !strings.Contains(words.String(), want) {
		t.Errorf("it says %q, not %q", words.String(), want)
	}
}
