package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// TestMain lets this binary also be the processes that the tests start.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "provider":
			sdk.Serve(realProvider{os.Args[2:], os.Stdout, os.Stderr})
			os.Exit(0)
		case "supervise":
			os.Exit(supervise(os.Args[2], os.Args[3]))
		case "parent":
			os.Exit(parent())
		case "kindsplugin":
			sdk.Serve(mints{})
		case "yesterday":
			serveYesterday(os.Args[2])
			os.Exit(0)
		case "tomorrow":
			serveVersion(3)
			os.Exit(0)
		case "oldplugin":
			serveVersion(0)
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// realProvider is a provider whose broker is the socket that the account's
// setting "broker" names: a refresh sends its token there and is answered by
// one line.
type realProvider struct {
	args []string
	// The process's own output, which go-plugin puts pipes in the place of.
	stdout, stderr *os.File
}

func (p realProvider) Describe(context.Context) (sdk.Description, error) {
	for _, arg := range p.args {
		switch arg {
		case "die":
			os.Exit(2)
		case "panic":
			panic("a secret")
		case "spool":
			dir := os.Getenv(sdk.EnvSpoolDir)
			info, err := os.Stat(dir)
			if err != nil {
				return sdk.Description{}, err
			}
			if len(p.args) > 1 && p.args[1] != dir {
				return sdk.Description{}, errors.New("the spool is another one")
			}
			return sdk.Description{Name: "real", Version: info.Mode().String() + " " + filepath.Base(dir)}, nil
		case "chatter":
			slog.Warn("structured", "account", "a1", "count", 3)
			fmt.Fprintln(p.stderr, `{"@message": 7, "@level": []}`)
			fmt.Fprintln(p.stderr, "plain "+strings.Repeat("x", 3*longestLine))
			fmt.Fprintln(os.Stdout, "out of Stdout")
			fmt.Fprintln(os.Stderr, "out of Stderr")
			fmt.Fprintln(p.stdout, "past the handshake "+strings.Repeat("y", 200<<10))
			fmt.Fprintln(p.stderr, "panic: as if")
			fmt.Fprintln(p.stderr, "goroutine 1 [running]:")
		case "daemon":
			// One that has left the process group, and holds nothing of it.
			c := exec.Command("/bin/sleep", "1000")
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := c.Start(); err != nil {
				return sdk.Description{}, err
			}
			slog.Info("daemon", "pid", c.Process.Pid)
		case "grandchild":
			// One that holds every pipe and outlives its parent.
			c := exec.Command("/bin/sleep", "1000")
			c.Stdout, c.Stderr = p.stdout, p.stderr
			if err := c.Start(); err != nil {
				return sdk.Description{}, err
			}
			slog.Info("grandchild", "pid", c.Process.Pid)
		}
	}
	return sdk.Description{Name: "real", Version: "v1"}, nil
}

func (realProvider) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", req.Account.Settings["broker"])
	if err != nil {
		return sdk.Token{}, sdk.ErrNotSent
	}
	defer conn.Close()
	if slot, ok := spool.FromContext(ctx); ok {
		if err := errors.Join(slot.Advance(spool.Ready), slot.Advance(spool.Sent)); err != nil {
			return sdk.Token{}, sdk.ErrNotSent
		}
	}
	_, _ = fmt.Fprintf(conn, "%s\n", req.Token.RefreshToken.Reveal())
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return sdk.Token{}, sdk.ErrAmbiguous
	}
	return sdk.Token{
		AccessToken: sdk.NewSecret("access-" + strings.TrimSpace(line)), RefreshToken: sdk.NewSecret(strings.TrimSpace(line)),
		IssuedAt: time.Now(), Lifetime: time.Hour,
	}, nil
}

// supervise is a supervisor with one provider, for the tests that kill it. It
// prints what happens.
func supervise(dir, broker string) int {
	log := slog.New(slog.DiscardHandler)
	bus := event.NewBus(log, time.Now)
	sub := bus.Subscribe(100)
	work := newCallWork()
	m := New(Config{Name: "real", Launcher: realCommand(dir, log), Work: Refreshing(work), Events: bus})
	go func() { _ = m.Run(context.Background()) }()
	for e := range sub.C {
		fmt.Println(e.Type, m.Status().PID)
		if e.Type == event.ProviderStarted && broker != "" {
			work.calls <- request("killed", "token-1", broker)
		}
	}
	return 0
}

// parent has a child that knows nothing of a lifeline.
func parent() int {
	c := newChild(exec.Command("/bin/sleep", "1000"), newOutputLog(slog.New(slog.DiscardHandler), hearsay.New()))
	if err := c.Start(context.Background()); err != nil {
		return 1
	}
	fmt.Println(event.ProviderStarted, c.pid())
	<-c.exited
	return 0
}

// mints needs more of the contract than the first version has.
type mints struct {
	realProvider
	sdk.Minter
}

// serveVersion is a plugin of another version of the protocol.
func serveVersion(version uint) {
	h := sdk.Handshake()
	h.ProtocolVersion = version
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: h,
		Plugins:         plugin.PluginSet{sdk.PluginName: &sdk.Plugin{Service: sdk.NewServer(realProvider{}, noSpool, slog.Default())}},
		GRPCServer:      plugin.DefaultGRPCServer,
	})
}

func noSpool() (*spool.Spool, error) { return nil, errors.New("no spool") }
