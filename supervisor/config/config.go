// Package config turns YAML, environment and flags into a typed Config and
// says, with file and line, what is wrong with it. It is a leaf: it knows
// nothing of the rooms that it configures.
package config

import (
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Config is one loaded configuration. It is not changed after Load.
type Config struct {
	// File is where it came from; "" for none.
	File   string
	origin origin
	digest Digest

	StateDir string
	// FallbackDir is where the store goes on when the state directory can't be
	// written; "": nowhere.
	FallbackDir string
	// Trust are users, beside root and our own, who may change what decides what
	// the supervisor does: its configuration, secrets and programs.
	Trust []int
	// SecretSettings names the settings, of providers, accounts and sinks, of
	// which a value is given by reference: whoever does that wants it not seen.
	SecretSettings []string
	// FixedReferences are those, as they are written, to what a process is given once, at
	// its start: variables, and the credentials of a service under systemd. To load the
	// configuration again does not read them again.
	FixedReferences []string
	// Reload is when a running supervisor reads the configuration again: [ReloadManual] or
	// [ReloadWatch].
	Reload string
	// MachineGuard is whether the store belongs to one machine: auto, on, off.
	MachineGuard string
	Control      Control
	Log          Log
	Plugins      Plugins
	// Providers holds those that are listed and those that have accounts.
	Providers map[string]Provider
	Accounts  map[string]Account
	Sinks     map[string]Sink
	Alerts    Alerts
	// Heartbeat is nil if no service waits for one.
	Heartbeat *Heartbeat
	// Metrics is nil if nobody asks for them over TCP.
	Metrics *Metrics
}

// When a running supervisor reads the configuration again.
const (
	ReloadManual = "manual" // when somebody asks
	ReloadWatch  = "watch"  // and when its files were written
)

// Alerts is when people are told.
type Alerts struct {
	// Repeat is how often an alert is told again while it lasts; 0: never.
	Repeat time.Duration
	// LoginDue is how long before the end of a login an alert says so; 0:
	// never.
	LoginDue time.Duration
}

// Control is the control API.
type Control struct {
	// Socket is a path; default: control.sock in the state directory.
	Socket string
	// TrustFolder takes a folder that others may write into.
	TrustFolder bool
	// Readers are let in beside root and our own user.
	Readers []Reader
}

// Log is where and how the supervisor logs.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // text, json
	// File additionally receives the log; "": none.
	File string
	// TrustFolder takes a folder of it that others may write into.
	TrustFolder bool
	// The file is moved away when it has so many megabytes or is so old, 0: never, and
	// Keep such files are kept.
	MaxMegabytes, Keep int
	MaxAge             time.Duration
}

// Plugins is where provider binaries are found.
type Plugins struct {
	Dir string
}

// Provider is one broker's plugin process. One that is not listed has every
// default.
type Provider struct {
	Name string
	// Command and arguments; empty: tokenkeeper-provider-NAME in the plugin
	// directory, or the built-in one.
	Command []string
	// SHA256 of the binary in hexadecimal; "": not checked.
	SHA256 string
	// Settings are the defaults of all its accounts' settings.
	Settings map[string]string
	// MaxInFlight bounds the refreshes in flight.
	MaxInFlight int
	// Maintenance are the times at which the broker may fail.
	Maintenance []Maintenance
}

// Account is one grant at one provider.
type Account struct {
	Name         string
	Provider     string
	ClientID     string
	ClientSecret sdk.Secret
	// OtherSecrets are those that the client has beside ClientSecret, in order.
	OtherSecrets []sdk.Secret
	RedirectURL  string
	Scopes       []string
	// ClientFirst: the broker is known to look at the client before the token.
	ClientFirst bool
	// Settings already holds those of the provider.
	Settings map[string]string
	Refresh  Refresh
	// SharedFile is nil unless other programs refresh this grant too.
	SharedFile *SharedFile
}

// SharedFile is a token file that other programs read and write too.
type SharedFile struct {
	Path string
	// Lock is the file that all of them lock; default: Path and ".lock".
	Lock   string
	Format string
	// Timezone of formats with naive local times; "": the machine's.
	Timezone string
	// UnsafeFilesystem takes a file system on which locks may not exclude.
	UnsafeFilesystem bool
	// TrustFolder takes folders that others may write into.
	TrustFolder bool
}

// Refresh is when an account is refreshed.
type Refresh struct {
	// BeforeExpiry of the access token; 0: what the provider's policy says.
	BeforeExpiry time.Duration
	// Every, if set, is counted from the last refresh; the earlier of both
	// counts. 0: not used.
	Every time.Duration
	// Jitter is the largest random time by which a refresh is earlier.
	Jitter time.Duration
	// Budget, if set, is how often an hour it is refreshed at least, so that a part of the
	// access token's life is left when no next one comes; 0: not used.
	Budget int
	// AcceptRisk lets the budget hold where a refresh may cost a login, or the token that
	// consumers have.
	AcceptRisk bool
	// MaxFailures in a row raise an alert.
	MaxFailures int
	// Timeout of one attempt.
	Timeout time.Duration
}

// What is sent to a sink.
const (
	SendToken     = "token"
	SendAlert     = "alert"
	SendLifecycle = "lifecycle"
)

// Sink is one destination.
type Sink struct {
	Name string
	Type string
	// Accounts are names and globs (path.Match); Providers are names. An
	// account that matches any of both goes there. Both empty: all.
	// [Config.SinkAccounts] resolves them.
	Accounts  []string
	Providers []string
	// Events are what is sent there, of [SendToken], [SendAlert] and
	// [SendLifecycle].
	Events              []string
	IncludeRefreshToken bool
	// Content is how a token is written. Its Format is "" for what the type
	// sends by itself.
	Content Content
	// MaxConcurrent bounds the deliveries in flight.
	MaxConcurrent int

	// Destination is what stands in the keys of its type.
	Destination Destination
}

// Sends says whether events of that kind go to the sink.
func (s Sink) Sends(kind string) bool { return slices.Contains(s.Events, kind) }

// Traits are those of its destination.
func (s Sink) Traits() Traits {
	if s.Destination == nil {
		return Traits{}
	}
	return s.Destination.Traits()
}

// Content is how a token is written.
type Content struct {
	Format string
	// Template is set if Format is "template", in the language of
	// text/template.
	Template string
	// Timezone of formats with naive local times; "": the machine's.
	Timezone string
}
