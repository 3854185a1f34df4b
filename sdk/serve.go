package sdk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk/idle"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// Serve runs a provider process: it is all that a plugin's main does. It
// returns when the supervisor ends the process, after the attempt in flight
// has been heard out and spooled. [slog.Default] then leads to the
// supervisor's log.
//
// When the supervisor dies, the process finishes its attempt, spools the
// answer and exits.
func Serve(p Provider) {
	onlyHosted("provider", "give an account\n\"provider: NAME\"")
	log := hostedLog()
	serve(PluginName, NewServer(p, openSpool, log))
}

// ServeSink is [Serve] for a sink. It returns when the supervisor ends the
// process, after the deliveries in flight. When the supervisor dies, the
// process ends after them, too.
func ServeSink(s Sink) {
	onlyHosted("sink", "give a sink\n\"type: NAME\"")
	log := hostedLog()
	serve(SinkPluginName, NewSinkServer(s, log))
}

// service is what a process serves.
type service interface {
	Register(*grpc.Server)
	// Drain refuses what would begin now, and waits for what is in flight.
	Drain()
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
	return log
}

func serve(name string, s service) {
	go func() {
		awaitOrphaned()
		s.Drain()
		os.Exit(0)
	}()
	rest := idle.New(restAfter)
	defer rest.Close()
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: Handshake(),
		Plugins:         plugin.PluginSet{name: &Plugin{Service: s}},
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return plugin.DefaultGRPCServer(append(opts, grpc.ChainUnaryInterceptor(busy(rest))))
		},
		Logger: hclog.New(&hclog.LoggerOptions{
			Level: hclog.Warn, Output: os.Stderr, JSONFormat: true,
		}),
	})
	s.Drain()
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

// awaitOrphaned returns at SIGTERM, which also comes when the supervisor's
// process dies, at SIGHUP, which the kernel sends besides to a process
// that was stopped then (setpgid(2)), and at the end of the lifeline.
func awaitOrphaned() {
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGHUP)
	lost := make(chan struct{})
	if fd, err := strconv.Atoi(os.Getenv(EnvLifeline)); err == nil {
		go func() {
			defer close(lost)
			_, _ = io.Copy(io.Discard, os.NewFile(uintptr(fd), "lifeline"))
		}()
	}
	select {
	case <-term:
	case <-lost:
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
