package process

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
)

// Kind is what a plugin is for. A process of any kind is run, watched and
// ended in the same way; a kind has its own contract, words and events.
type Kind int

const (
	Provider Kind = iota
	Sink
)

// String is the word for people, the field in the log, and a part of the names
// of programs.
func (k Kind) String() string {
	if k == Sink {
		return "sink"
	}
	return "provider"
}

// pluginName is what go-plugin calls it.
func (k Kind) pluginName() string {
	if k == Sink {
		return sdk.SinkPluginName
	}
	return sdk.PluginName
}

// programPrefix starts the file name of every such program in the plugin
// directory.
func (k Kind) programPrefix() string { return "tokenkeeper-" + k.String() + "-" }

// socketName is a name for the directory of a process's socket. A point can't
// be in the name of a provider.
func (k Kind) socketName(name string) string {
	if k == Sink {
		return "sink." + name
	}
	return name
}

// checksumKey is where the configuration demands a checksum.
func (k Kind) checksumKey(name string) string { return fmt.Sprintf("%ss.%s.sha256", k, name) }

// remedy for a program that is not what it should be.
func (k Kind) remedy() string {
	return fmt.Sprintf("install a Tokenkeeper %s there, or correct its command in the configuration", k)
}

// restart is the command that takes up a parked one.
func (k Kind) restart(name string) string {
	if k == Sink {
		return "tokenkeeper sinks restart " + name
	}
	return "tokenkeeper restart " + name
}

// work is what a generation does, for logs.
func (k Kind) work() string {
	if k == Sink {
		return "delivery"
	}
	return "refresh loop"
}

// The events of each kind.
var events = [...]struct{ started, stopped, parked event.Type }{
	Provider: {event.ProviderStarted, event.ProviderStopped, event.ProviderParked},
	Sink:     {event.SinkStarted, event.SinkStopped, event.SinkParked},
}

// identity is what a process says of itself; the one of its kind is set.
type identity struct {
	name, version string
	provider      sdk.Description
	sink          sdk.SinkDescription
}

// describe asks the process at the other end of conn who it is.
func (k Kind) describe(ctx context.Context, conn grpc.ClientConnInterface) (id identity, err error) {
	if k == Sink {
		id.sink, err = sdk.NewRemoteSink(conn).DescribeSink(ctx)
		id.name, id.version = id.sink.Name, id.sink.Version
		return id, err
	}
	id.provider, err = sdk.NewRemote(conn).Describe(ctx)
	id.provider = belief.Description(id.provider)
	id.name, id.version = id.provider.Name, id.provider.Version
	return id, err
}

// ping asks for a sign of life.
func (k Kind) ping(ctx context.Context, conn grpc.ClientConnInterface) error {
	if k == Sink {
		return sdk.NewRemoteSink(conn).Ping(ctx)
	}
	return sdk.NewRemote(conn).Ping(ctx)
}

// meet asks a new process who it is, and holds it to the name that it should
// have.
func (k Kind) meet(ctx context.Context, in Instance, name string, timeout time.Duration) (identity, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	id, err := k.describe(ctx, in.Conn())
	switch {
	case errors.Is(err, sdk.ErrUnimplemented):
		return id, k.otherKind(ctx, in)
	case err != nil:
		if errors.Is(err, sdk.ErrConnection) && await(in.Exited(), exitNews) {
			return id, fmt.Errorf("%w before it said who it is: %w", errExited, in.Err())
		}
		return id, fmt.Errorf("the process started but did not say who it is: %w", err)
	case id.name != name && k == Sink:
		return id, &Fault{
			Kind: WrongSink, Message: fmt.Sprintf("the program says that it is for sinks of type %q, not %q", id.name, name),
			Remedy: fmt.Sprintf("write type: %s in the configuration, or name the right command for sinks of type %q", id.name, name),
		}
	case id.name != name:
		return id, &Fault{
			Kind: WrongProvider, Message: fmt.Sprintf("the program says that it is provider %q, not %q", id.name, name),
			Remedy: fmt.Sprintf("call the provider %q in the configuration, or name the right command for %q", id.name, name),
		}
	}
	return id, nil
}

// otherKind words the fault of a plugin that does not answer as its kind does.
func (k Kind) otherKind(ctx context.Context, in Instance) *Fault {
	other := Provider + Sink - k
	if id, err := other.describe(ctx, in.Conn()); err == nil {
		return &Fault{
			Kind: WrongProtocol, Message: fmt.Sprintf("the program is the %s %q, and no %s", other, id.name, k),
			Remedy: fmt.Sprintf("name it under %ss in the configuration, and another program here", other),
		}
	}
	return &Fault{
		Kind: WrongProtocol, Message: "the program is a plugin, but not one of Tokenkeeper: it does not answer Describe",
		Remedy: fmt.Sprintf("install a Tokenkeeper %s in its place", k),
	}
}

// RefreshLoop is the Work of a provider, see [Refreshing].
type RefreshLoop interface {
	// Run refreshes what is due through r, as [Work.Run] does.
	Run(ctx context.Context, r *sdk.Remote) error
	InFlight() int
	Deadline() time.Time
	Latest() time.Time
}

// Refreshing makes a refresh loop the work of a provider's process.
func Refreshing(loop RefreshLoop) Work { return refreshing{loop} }

type refreshing struct{ RefreshLoop }

// Run implements [Work].
func (r refreshing) Run(ctx context.Context, conn grpc.ClientConnInterface) error {
	return r.RefreshLoop.Run(ctx, sdk.NewRemote(conn))
}
