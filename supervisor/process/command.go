package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/mtls"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

const (
	// startTimeout bounds the time from the start of a process to its
	// handshake. A plugin in Python takes moments on an idle machine, and more
	// than ten seconds on a small one that has just been switched on.
	startTimeout = 30 * time.Second
	// killTimeout bounds the wait for a process after SIGKILL.
	killTimeout = 2 * time.Second
	// receiveLimit bounds one message from a plugin. An answer with a token
	// is a few KiB.
	receiveLimit = 4 << 20
)

// Command launches a plugin's program over go-plugin. It is the real
// [Launcher].
type Command struct {
	// Kind of plugin; the zero value is a provider.
	Kind Kind
	// Name of the provider or of the sink.
	Name string
	// Path of the program; one without a slash is looked up in PATH.
	// /proc/self/exe is this very program, also after an upgrade on disk.
	Path string
	Args []string
	// Trust are users who may change the program, beside root and our own.
	Trust []int
	// SHA256 that the program must have, in hexadecimal; "": not checked.
	SHA256 string
	// SpoolDir belongs to this provider alone. "" leaves it without a spool, so
	// that a provider refuses to spend a token; a sink needs none.
	SpoolDir string
	// SpoolFallback, better on another disk, takes what SpoolDir refuses; "":
	// nothing does.
	SpoolFallback string
	// Slots is how many attempts may be in flight.
	Slots int
	// HandOver is how long after our death it keeps the locks of what was
	// answered for the next supervisor (see [Predecessor.Bequests]), in seconds;
	// 0: it does not.
	HandOver time.Duration
	// SocketDir is where the directories for the plugins' sockets are made;
	// "" or one with too long a path: the system's place for such things.
	SocketDir string
	// Env is added to the little that a plugin process inherits.
	Env []string
	// Log receives what the process writes; nil: nothing does.
	Log *slog.Logger
	// Secrets are those that the plugin was told so far; nil: none. A [Member]
	// remembers them over its generations.
	Secrets *hearsay.Secrets
}

// Launch implements [Launcher].
func (c Command) Launch(ctx context.Context) (Instance, error) {
	in, err := c.launch(ctx)
	if err != nil {
		return nil, err
	}
	return in, nil
}

func (c Command) launch(ctx context.Context) (*instance, error) {
	cmd, pinned, err := c.program()
	if err != nil {
		return nil, err
	}
	defer pinned.Close() // of nil: harmless
	sockets, err := socketDir(c.SocketDir, c.Kind.socketName(c.Name))
	if err != nil {
		return nil, fmt.Errorf("make a private directory for the socket of %s %s: %w", c.Kind, c.Name, err)
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	secrets := c.Secrets
	if secrets == nil {
		secrets = hearsay.New()
	}
	out := newOutputLog(log.With(c.Kind.String(), c.Name), secrets)
	c.makeSpoolDir()
	cmd.Env = c.environment()
	p := newChild(cmd, out)
	p.pinned = pinned
	synced := out.beside() // os.Stdout and os.Stderr after Serve began, over gRPC
	config := &plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: sdk.VersionedPlugins(c.Kind.pluginName()),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     startTimeout,
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: sockets},
		// Both of our own making, see child.
		Logger: hclog.NewNullLogger(),
		RunnerFunc: func(_ hclog.Logger, given *exec.Cmd, _ string) (runner.Runner, error) {
			cmd.Env = append(cmd.Env, given.Env...)
			return p, nil
		},
		SyncStdout: synced.writer(synced.stdout),
		SyncStderr: synced.writer(synced.stderr),
		GRPCDialOptions: []grpc.DialOption{
			grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(receiveLimit)),
			grpc.WithIdleTimeout(0), // the connection stands or the process is lost
		},
	}
	if c.Path == ourselves {
		var hello string
		if config.TLSConfig, hello, err = mtls.Host(); err != nil {
			return nil, fmt.Errorf("secure the connection to %s %s: %w", c.Kind, c.Name, err)
		}
		config.AutoMTLS = false
		cmd.Env = append(cmd.Env, mtls.EnvHost+"="+hello)
	}
	client := plugin.NewClient(config)
	in := &instance{child: p, client: client, sockets: sockets, steered: &steering{trust: c.Trust}, from: c.startedFrom(cmd.Args[0], pinned), lost: make(chan struct{})}
	stays := staysWhere(sockets)
	if err := in.connect(ctx); err != nil {
		p.signalGroup(unix.SIGKILL)
		if p.pid() != 0 && await(p.exited, killTimeout) {
			p.hearOut()
		}
		err = c.startFault(cmd.Args[0], p, err)
		if !stays() && ctx.Err() == nil {
			err = fmt.Errorf("%s could not come up, because the folder of its socket, %s, was moved, removed or replaced meanwhile: "+
				"leave the state directory where it is while Tokenkeeper runs", cmd.Args[0], sockets)
		}
		in.free()
		return nil, err
	}
	p.words.stop()
	go in.watchConnection()
	return in, nil
}

// locate finds the program.
func (c Command) locate() (path string, err error) {
	path = c.Path
	if !strings.Contains(path, "/") {
		if path, err = exec.LookPath(c.Path); err != nil {
			return "", c.Kind.startErrno(c.Path, unix.ENOENT)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", c.Kind.startErrno(path, err)
	}
	if info.IsDir() {
		return "", c.Kind.startErrno(path, unix.EISDIR)
	}
	if err := unix.Access(path, unix.X_OK); err != nil {
		return "", c.Kind.startErrno(path, err)
	}
	return path, c.trusted(path)
}

// ourselves is this very program, also after an upgrade on disk: what runs
// already is not asked about.
const ourselves = "/proc/self/exe"

// trusted refuses a program, and a file among its arguments, that somebody else
// could have put there, or could change before it is executed.
func (c Command) trusted(path string) error {
	if path == ourselves {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	judge, rule := trust.Here(), trust.Rule{Steers: true, Users: c.Trust}
	_, err = judge.Examine(absolute, rule)
	if refused := judge.Operands(append([]string{absolute}, c.Args...), here, false, rule); err == nil && refused != nil {
		err = refused
	}
	if refusal, ok := errors.AsType[*trust.Refusal](err); ok {
		remedy := refusal.Remedy
		refusal.Remedy = ""
		return &Fault{Kind: Untrusted, Message: fmt.Sprintf("%s is not started: %s", path, refusal.Error()), Remedy: remedy}
	}
	return err
}

// startFault finds out why a process did not come up. What it wrote and how it
// ended tells more than go-plugin's error.
func (c Command) startFault(path string, p *child, err error) error {
	var errno unix.Errno
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("start %s: %w", path, err)
	case p.pid() == 0 && errors.As(err, &errno):
		return c.Kind.startErrno(path, errno)
	case p.pid() == 0:
		return fmt.Errorf("start %s: %w", path, err)
	case p.greeted() != "":
		if fault := c.Kind.handshakeFault(path, p.greeted()); fault != nil {
			return fault
		}
		return fmt.Errorf("%s started, but no connection to it could be made: %s%s", path,
			p.log.secrets.Clean(err.Error(), hearsay.Sentence), p.lastWords())
	case !await(p.exited, 0):
		return fmt.Errorf("%s wrote no plugin's handshake (within %s), was killed and does not end, as if it waited for a disk: %w", path, startTimeout, err)
	case p.result() == nil:
		return &Fault{
			Kind: NotAPlugin, Message: fmt.Sprintf("%s is no %s: it ended at once without a plugin's handshake%s", path, c.Kind, p.lastWords()),
			Remedy: c.Kind.remedy(),
		}
	case p.wasKilled():
		return fmt.Errorf("%s wrote no plugin's handshake (within %s) and was killed; is it a Tokenkeeper %s?%s",
			path, startTimeout, c.Kind, p.lastWords())
	}
	return fmt.Errorf("%s ended before its plugin's handshake: %w%s", path, p.result(), p.lastWords())
}

func (c *child) lastWords() string {
	if last := c.words.last(); last != "" {
		return fmt.Sprintf(" (its last words: %q)", last)
	}
	return ""
}

// remembering lets the commands of all generations share what the plugin was
// told.
func remembering(l Launcher) Launcher {
	var c Command
	switch known := l.(type) {
	case Command:
		c = known
	case *Command:
		c = *known
	default:
		return l
	}
	if c.Secrets == nil {
		c.Secrets = hearsay.New()
	}
	return c
}
