package providertest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/internal/hosted"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// subject is the provider that is tested: as it is configured, and as it is started.
type subject struct {
	Suite
	test      string   // that calls Run
	standing  *process // of Program, for the rules that need no fresh one; nil: each gets its own
	described sdk.Description
}

// known asks the provider who it is. What can't describe itself is found by
// testDescribe, and taken for one with refresh tokens.
func (s subject) known(t *testing.T) sdk.Description {
	t.Helper()
	d, err := s.fresh(t).Describe(call(t))
	if err != nil {
		return sdk.Description{}
	}
	return d
}

func (s subject) account(name string, b *broker) sdk.Account {
	a := s.Account
	a.Name = name
	a.Settings = maps.Clone(a.Settings)
	if a.Settings == nil {
		a.Settings = map[string]string{}
	}
	s.PointTo(&a, b.url())
	return a
}

// keysOf are the secrets of an account that the provider turns into requests, which no
// error may tell. One of several lines, such as a key in PEM, goes by its lines, too.
func (s subject) keysOf(d sdk.Description) []string {
	var keys []string
	for _, setting := range d.Settings {
		value := s.Account.Settings[setting.Name]
		if !setting.Secret || value == "" {
			continue
		}
		keys = append(keys, value)
		for line := range strings.Lines(value) {
			if line = strings.TrimSpace(line); len(line) > 20 && !strings.HasPrefix(line, "-----") {
				keys = append(keys, line)
			}
		}
	}
	return keys
}

// fresh runs a provider whose spool is empty. One that is a program alone is the same
// process each time, because some languages take a second to start one.
func (s subject) fresh(t *testing.T) *process {
	t.Helper()
	if s.standing == nil {
		return s.start(t, t.TempDir())
	}
	left, err := s.standing.Unsettled(call(t))
	if err != nil {
		t.Fatalf("Unsettled: %v", err)
	}
	over := []string{"one", "two", "three", "login", "forged"} // which need not have come to a slot
	for _, e := range left.Entries {
		over = append(over, e.Attempt)
	}
	for _, attempt := range over {
		if err := s.standing.Settle(call(t), attempt); err != nil {
			t.Fatalf("Settle: %v", err)
		}
	}
	return s.standing
}

// start runs a provider on a spool directory.
func (s subject) start(t *testing.T, dir string) *process {
	t.Helper()
	if s.New == nil {
		return s.program(t, dir)
	}
	sp, err := spool.Open(t.Context(), dir, 2)
	if err != nil {
		t.Fatalf("open the spool: %v", err)
	}
	server := sdk.NewServer(s.New(), func() (*spool.Spool, error) { return sp, nil }, slog.New(slog.DiscardHandler))
	g := grpc.NewServer()
	server.Register(g)
	listener := bufconn.Listen(1 << 16)
	go func() { _ = g.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///provider",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Remote: sdk.NewRemote(conn)}
	dead := false
	p.die = func() {
		if dead {
			return
		}
		dead = true
		_ = conn.Close()
		g.Stop()
		_ = sp.Close()
	}
	t.Cleanup(p.die)
	return p
}

// program is start for a provider that is a program alone. It dies by a kill.
func (s subject) program(t *testing.T, dir string) *process {
	t.Helper()
	p, remote := s.host(t, dir)
	return &process{Remote: remote, die: func() {
		_ = p.Signal(syscall.SIGKILL) // it may have ended
		if err := p.Ended(waittest.Patience); errors.Is(err, hosted.ErrRuns) {
			t.Fatal(err)
		}
	}}
}

// host starts the provider as a process of its own.
func (s subject) host(t *testing.T, dir string) (*hosted.Process, *sdk.Remote) {
	t.Helper()
	var cmd *exec.Cmd
	env := append(os.Environ(), sdk.EnvSpoolDir+"="+dir, sdk.EnvSpoolSlots+"=2", fmt.Sprintf("%s=%d", sdk.EnvHandOver, handOver/time.Second))
	if len(s.Program) > 0 {
		cmd = exec.Command(s.Program[0], s.Program[1:]...)
	} else {
		var pattern []string
		for part := range strings.SplitSeq(s.test, "/") {
			pattern = append(pattern, "^"+regexp.QuoteMeta(part)+"$")
		}
		cmd = exec.Command("/proc/self/exe", "-test.run="+strings.Join(pattern, "/"))
		env = append(env, serveVariable+"="+s.test)
	}
	cmd.Env = env
	log := &hosted.Log{}
	p, err := hosted.Start(cmd, sdk.PluginName, log)
	if err != nil {
		t.Fatalf("%v\n%s\nIf the test's own program can't be a provider, set Program.", err, log)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() && log.String() != "" {
			t.Logf("the process wrote:\n%s", log)
		}
	})
	return p, sdk.NewRemote(p.Conn)
}

// serveIfAsked makes this process the provider if the suite has started it for
// that.
func serveIfAsked(t *testing.T, provider func() sdk.Provider) {
	if os.Getenv(serveVariable) == t.Name() {
		sdk.Serve(provider())
		os.Exit(0)
	}
}

// process is a provider behind the wire contract, as its process would be.
type process struct {
	*sdk.Remote
	die func()
}

// image copies a spool directory: what a killed process would leave there,
// while the process itself goes on unharmed.
func image(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatalf("copy the spool: %v", err)
	}
	return to
}
