package sink

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Type is a type of sinks that is part of the program. All that is peculiar to it
// stands in its folder, and package types lists it.
type Type interface {
	config.SinkType
	// Reference is its part of the reference of the configuration: sinks in YAML that
	// have all of its keys, each with what it means and its default.
	Reference() string
	// New makes what c says. It opens nothing and sends nothing. A try's Timeout must
	// not end before the sink's own.
	New(c config.Sink, with With) (Sink, RetryPolicy, error)
}

// With is what a sink is made with beside its own configuration.
type With struct {
	// Trust are users, beside root and our own, who may change programs.
	Trust []int
}

// Prober is for types whose destinations can be looked at before anything is sent
// there, without a consumer's noticing it, by whoever checks a configuration.
type Prober interface {
	// Obstacles are in the way of what c says for these accounts. Nothing of what was
	// tried is left behind. A folder that is not there is none: a service may make it
	// before it starts.
	Obstacles(c config.Sink, accounts []config.Account) []Obstacle
	// Grounds are where files and sockets of the sink lie: other users may own the
	// folders, and are trusted with what lies there.
	Grounds(c config.Sink, accounts []config.Account) []Ground
}

// Obstacle is something that keeps a sink from working.
type Obstacle struct {
	// Key of the sink that is at fault, dotted.
	Key string
	// Err says why, and what to do.
	Err error
}

// Ground is where something lies, and who may have put it there.
type Ground struct {
	Path string
	Rule trust.Rule
}

// LongerThan is the policy of a sink that limits a try itself.
func LongerThan(timeout time.Duration) RetryPolicy {
	return RetryPolicy{Timeout: timeout + time.Second}
}
