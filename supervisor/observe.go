package supervisor

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
)

// This file is what differs in a supervisor that only observes: it reads the store and the
// shared files, and shows what it would do. Nothing is sent to a broker, nothing delivered,
// no heartbeat given, and nothing written but its log and its control socket. What another
// one does with the same files it does not disturb.

// observation is what such a one reads; nil: this one keeps tokens.
type observation struct {
	// stateDir and fallback are where the store is that it reads.
	stateDir, fallback string
	// own is what its processes have in the place of a state directory, for their sockets
	// and for spools in which nothing ever is. It ends with this process.
	own ownFolder
}

// observe begins an observation by a configuration.
func observe(cfg *config.Config) (*observation, error) {
	own, err := newOwnFolder()
	if err != nil {
		return nil, err
	}
	return &observation{stateDir: cfg.StateDir, fallback: cfg.FallbackDir, own: own}, nil
}

// options are those of the supervisor that only observes, in the place of o.
func (w *observation) options(o Options) Options {
	o.Config, o.Stored = w.of(o.Config), nil // a lock that was kept over a restart is for who settles its attempt
	if reread := o.Reread; reread != nil {
		o.Reread = func() (*config.Config, error) {
			cfg, err := reread()
			if err != nil {
				return nil, err
			}
			return w.of(cfg), nil
		}
	}
	return o
}

// of is a configuration as far as it is observed by.
func (w *observation) of(cfg *config.Config) *config.Config {
	seen := *cfg
	seen.StateDir, seen.FallbackDir = w.own.path, ""
	seen.Sinks, seen.Heartbeat = map[string]config.Sink{}, nil
	return &seen
}

// stateDir is the state directory as people know it.
func (s *Supervisor) stateDir() string {
	if w := s.observed; w != nil {
		return w.stateDir
	}
	return s.opts.Config.StateDir
}

// openStateDir takes the state directory into use, or reads what is there.
func (s *Supervisor) openStateDir() (*statedir.Dir, error) {
	cfg := s.opts.Config
	c := statedir.Config{
		Path: cfg.StateDir, Fallback: cfg.FallbackDir, Wall: s.opts.Seams.Wall, Events: s.events, Log: s.log,
		Provider: func(account string) string { return cfg.Accounts[account].Provider },
	}
	if w := s.observed; w != nil {
		c.Path, c.Fallback = w.stateDir, w.fallback
		return statedir.Observe(c)
	}
	return statedir.Open(c)
}

// listener opens the control socket of a configuration in the place of at; nil: as usual.
func (w *observation) listener(at func(socket string) (net.Listener, error), c config.Control) func(socket string) (net.Listener, error) {
	if at != nil || w == nil {
		return at
	}
	return control.ListenBeside(c)
}

// work is what the process of a provider is there for; w is nil where nobody only observes.
func (w *observation) work(k *refresh.Keeper) process.Work {
	if w != nil {
		return observing{process.Refreshing(k)}
	}
	return process.Refreshing(k)
}

// observing lets nothing reach a provider's process that could reach a broker, whoever
// asks for it.
type observing struct{ process.Work }

// Run implements [process.Work].
func (w observing) Run(ctx context.Context, conn grpc.ClientConnInterface) error {
	return w.Work.Run(ctx, questions{conn})
}

// questions is a connection on which a provider is asked who it is, and no more.
type questions struct{ grpc.ClientConnInterface }

// Invoke implements [grpc.ClientConnInterface].
func (c questions) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	switch method {
	case pb.Provider_Describe_FullMethodName, pb.Provider_Ping_FullMethodName:
		return c.ClientConnInterface.Invoke(ctx, method, args, reply, opts...)
	}
	return status.Error(codes.FailedPrecondition, "nothing is asked of a broker: this supervisor only observes")
}

// NewStream implements [grpc.ClientConnInterface].
func (questions) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, status.Error(codes.FailedPrecondition, "nothing is asked of a broker: this supervisor only observes")
}
