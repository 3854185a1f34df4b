package sink

import (
	"errors"
	"slices"
	"syscall"
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

// Inspector is for types whose destinations can be looked at before anything is sent
// there, without a consumer's noticing it, by whoever checks a configuration.
type Inspector interface {
	// Obstacles are in the way of what c says for these accounts, for the user who
	// asks. Nothing of what was tried is left behind.
	Obstacles(c config.Sink, accounts []config.Account) []Obstacle
	// Grounds are where files and sockets of the sink lie: other users may own the
	// folders, and are trusted with what lies there.
	Grounds(c config.Sink, accounts []config.Account) []Ground
}

// Obstacle is something that keeps a sink from working.
type Obstacle struct {
	// Key of the sink that is at fault, dotted.
	Key string
	// Err says why, and what to do. It wraps [io/fs.ErrPermission] if another user may
	// have the right that is lacking.
	Err error
	// Missing is the folder or the program that is not there; "": something else is in
	// the way.
	Missing string
	// Later: it may be over in time all the same, because a consumer makes what is
	// missing, or listens: check warns of it, whether Missing says what it is or not.
	Later bool
}

// Passing says that the fault may be over by itself, or be mended while all else stays
// as it is: the state of a disk or of the machine, and nothing that is wrong with what
// stands there.
func (o Obstacle) Passing() bool {
	return slices.ContainsFunc([]error{
		syscall.ENOSPC, syscall.EDQUOT, syscall.EIO, syscall.EROFS, syscall.ESTALE, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE,
	}, func(passing error) bool { return errors.Is(o.Err, passing) })
}

// Unseen is for types of whose destinations a part shows only when something is sent
// there.
type Unseen interface {
	// Unseen says in a few words what that is; "": nothing.
	Unseen(c config.Sink) string
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
