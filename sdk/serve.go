package sdk

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/sdk/idle"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/sdk/mtls"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Serve runs a provider process: it is all that a plugin's main does.
// [slog.Default] then leads to the supervisor's log.
//
// The process ends when its lifeline does: when the supervisor lets go of it,
// or is dead. It then hears the attempts in flight out, spools their answers and
// exits. SIGTERM, SIGHUP, SIGABRT and what else is sent to a whole service mean
// nothing to it. It writes no core, and no other process of its user looks into
// its memory, unless [coredump.EnvAllow] says otherwise.
func Serve(p Provider) {
	onlyHosted("provider", "give an account\n\"provider: NAME\"")
	log := hostedLog()
	s := NewServer(p, openSpool, log)
	s.locks, s.estate = borrowLocks(log), ownEstate()
	serve(PluginName, s, versionOf(p))
}

// ServeSink is [Serve] for a sink, which ends after the deliveries in flight.
func ServeSink(s Sink) {
	onlyHosted("sink", "give a sink\n\"type: NAME\"")
	log := hostedLog()
	serve(SinkPluginName, NewSinkServer(s, log), ProtocolVersion)
}

// service is what a process serves.
type service interface {
	Register(*grpc.Server)
	// Drain refuses what would begin now, and waits for what is in flight, as
	// far as that minds its deadline. It returns whether all has ended.
	Drain() bool
}

// onlyHosted ends a process that a person started by hand.
func onlyHosted(kind, use string) {
	if h := Handshake(); os.Getenv(h.MagicCookieKey) != h.MagicCookieValue {
		fmt.Fprintf(os.Stderr, "This is a Tokenkeeper %[1]s: a plugin, not a program to run by hand.\n"+
			"Put it in the plugin directory as tokenkeeper-%[1]s-NAME, %[2]s, and start \"tokenkeeper run\".\n", kind, use)
		os.Exit(1)
	}
}

// hostedLog makes [slog.Default] lead to the supervisor's log.
func hostedLog() *slog.Logger {
	// A supervisor that was killed has closed our stderr's reader; writing a
	// log line must then fail quietly and not end what is in flight.
	signal.Ignore(syscall.SIGPIPE)
	log := newLogger(os.Stderr)
	slog.SetDefault(log)
	takeName() // before nobody may look into the process any more
	if err := coredump.Forbid(); err != nil {
		log.Warn(err.Error())
	}
	return log
}

func serve(name string, s service, version int) {
	over := lifelineEnd()
	go func() {
		<-over
		if !s.Drain() {
			slog.Error("the process ends although something in flight has not, after its deadline")
		}
		os.Exit(0)
	}()
	if told := tooOld(os.Getenv(envOffered), name, version); told != "" {
		slog.Error(told)
	}
	rest := idle.New(restAfter)
	defer rest.Close()
	handshake := Handshake()
	handshake.ProtocolVersion = uint(version)
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{name: &Plugin{Service: s}},
		TLSProvider:     answerInKind,
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return plugin.DefaultGRPCServer(append(opts, grpc.ChainUnaryInterceptor(busy(rest))))
		},
		Logger: hclog.New(&hclog.LoggerOptions{
			Level: hclog.Warn, Output: os.Stderr, JSONFormat: true,
		}),
	})
	s.Drain()
}

// answerInKind is for a supervisor whose certificate is one of package mtls: ours is,
// too, and goes where that of AutoMTLS goes, to the end of the line that go-plugin
// prints next. Others are left to AutoMTLS.
func answerInKind() (*tls.Config, error) {
	config, certificate, err := mtls.Plugin(os.Getenv(mtls.EnvHost))
	if config == nil {
		return nil, err
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	stdout := os.Stdout
	os.Stdout = write // until go-plugin puts its own there
	go func() {
		defer func() { _, _ = read.Close(), write.Close() }()
		line, err := bufio.NewReader(read).ReadString('\n')
		if err == nil {
			line, err = mtls.Greeting(strings.TrimSuffix(line, "\n"), certificate)
		}
		if err != nil {
			slog.Error("the handshake failed", "error", err)
			return
		}
		_, _ = fmt.Fprintln(stdout, line)
	}()
	return config, nil
}

// envOffered is where go-plugin's host side lists the versions that it speaks.
const envOffered = "PLUGIN_PROTOCOL_VERSIONS"

// tooOld says, for the log of a supervisor that does not speak the version that the
// plugin needs, what a person has to do; "": it does, or is none of go-plugin's that
// says.
func tooOld(offered, kind string, version int) string {
	versions := strings.Split(offered, ",")
	if offered == "" || slices.Contains(versions, strconv.Itoa(version)) {
		return ""
	}
	return fmt.Sprintf("this %s needs version %d of the %[1]s protocol, and the Tokenkeeper that starts it speaks %[3]s: "+
		"upgrade Tokenkeeper, or install an older version of the %[1]s", kind, version, strings.Join(versions, " and "))
}

// restAfter is how long after its last answer a plugin counts as idle.
const restAfter = 5 * time.Second

// busy tells rest of every answer.
func busy(rest *idle.Rest) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		defer rest.Busy()
		return handle(ctx, req)
	}
}

func openSpool() (*spool.Spool, error) {
	dir := os.Getenv(EnvSpoolDir)
	if dir == "" {
		return nil, fmt.Errorf("%s is not set: no refresh token is spent without a spool", EnvSpoolDir)
	}
	slots, err := strconv.Atoi(os.Getenv(EnvSpoolSlots))
	if err != nil || slots < 1 {
		slots = 1
	}
	if fallback := os.Getenv(EnvSpoolFallback); fallback != "" {
		return spool.OpenWithFallback(context.Background(), dir, fallback, slots)
	}
	return spool.Open(context.Background(), dir, slots)
}

// borrowLocks says that locks may be lent to this process, if anybody could.
func borrowLocks(log *slog.Logger) *lockloan.Borrower {
	fd, err := strconv.Atoi(os.Getenv(EnvLocks))
	if err != nil {
		return nil
	}
	b, err := lockloan.Borrow(fd)
	if err != nil {
		log.Warn("the locks of shared files will not outlive the supervisor", "error", err)
	}
	return b
}

// newLogger writes the lines that go-plugin's host side understands.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				return slog.String("@timestamp", a.Value.Time().Format(time.RFC3339Nano))
			case slog.LevelKey:
				return slog.String("@level", strings.ToLower(a.Value.String()))
			case slog.MessageKey:
				a.Key = "@message"
			}
			return a
		},
	}))
}
