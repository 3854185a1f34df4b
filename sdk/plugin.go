package sdk

import (
	"context"
	"strconv"
	"strings"

	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
)

// Names in a plugin process's environment, all of them set by the supervisor.
const (
	// EnvSpoolDir is the directory of this provider's spool. A sink has none.
	EnvSpoolDir = "TOKENKEEPER_SPOOL_DIR"
	// EnvSpoolFallback is the directory that takes what the spool's own one
	// refuses; "": there is none.
	EnvSpoolFallback = "TOKENKEEPER_SPOOL_FALLBACK"
	// EnvSpoolSlots is how many attempts may be in flight.
	EnvSpoolSlots = "TOKENKEEPER_SPOOL_SLOTS"
	// EnvLifeline is the number of a file descriptor that reads EOF when the
	// process should finish and exit: the supervisor has let go of it, or is
	// dead.
	EnvLifeline = "TOKENKEEPER_LIFELINE_FD"
	// EnvLocks is the number of a file descriptor through which a provider
	// gets the locks of shared files for its attempts, see package lockloan.
	EnvLocks = "TOKENKEEPER_LOCKS_FD"
	// EnvHandOver is for how many seconds a provider whose supervisor is dead
	// keeps the locks of what was answered for the next supervisor; "": it does
	// not, because the next one may start only when this process has ended.
	EnvHandOver = "TOKENKEEPER_HAND_OVER"
)

// The one plugin that a process dispenses: what go-plugin's sets call it.
const (
	PluginName     = "provider"
	SinkPluginName = "sink"
)

// ProtocolVersion of the wire contracts.
const ProtocolVersion = 1

// KindsVersion of the wire contract is [ProtocolVersion] with what kinds.go and
// login.go add. A provider names it in the handshake only if it needs that, so that
// all others run under every Tokenkeeper, and this one under none that would leave
// half of it undone.
const KindsVersion = 2

// Versions of the contract of a kind of plugin, [PluginName] or [SinkPluginName],
// that a supervisor built with this package runs, from the oldest on.
func Versions(plugin string) []int {
	if plugin == SinkPluginName {
		return []int{ProtocolVersion}
	}
	return []int{ProtocolVersion, KindsVersion}
}

// VersionsText puts versions into a sentence.
func VersionsText(versions []int) string {
	words := make([]string, len(versions))
	for i, v := range versions {
		words[i] = strconv.Itoa(v)
	}
	return strings.Join(words, " and ")
}

// VersionedPlugins are what a supervisor offers a plugin of that name, in each
// version that it speaks.
func VersionedPlugins(name string) map[int]plugin.PluginSet {
	sets := map[int]plugin.PluginSet{}
	for _, version := range Versions(name) {
		sets[version] = plugin.PluginSet{name: &Plugin{}}
	}
	return sets
}

// versionOf is the version of the contract that a provider needs.
func versionOf(p Provider) int {
	switch p.(type) {
	case Renewer, Minter, Keepalive, LoginGuide, interface{ knowsNoRefreshTokens() }:
		return KindsVersion
	}
	return ProtocolVersion
}

// Handshake is go-plugin's: it keeps a person from running a plugin by
// mistake and tells versions apart. It is no security measure. Providers and
// sinks have the same one, and tell who they are when they are asked to
// describe themselves.
func Handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   "TOKENKEEPER_PLUGIN",
		MagicCookieValue: "f3e4ab4a-provider",
	}
}

// Plugin connects a wire contract to go-plugin. The plugin's side sets
// Service, a [*Server] or a [*SinkServer]; the supervisor's side leaves it nil
// and gets the connection, for [NewRemote] or [NewRemoteSink].
type Plugin struct {
	plugin.NetRPCUnsupportedPlugin
	Service interface{ Register(*grpc.Server) }
}

// GRPCServer implements [plugin.GRPCPlugin].
func (p *Plugin) GRPCServer(_ *plugin.GRPCBroker, g *grpc.Server) error {
	p.Service.Register(g)
	return nil
}

// GRPCClient implements [plugin.GRPCPlugin].
func (p *Plugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, conn *grpc.ClientConn) (any, error) {
	return conn, nil
}
