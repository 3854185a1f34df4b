package command

import (
	_ "embed" // for the reference
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Type is "exec" in the configuration: a program that is run, or one that is
// signalled.
type Type struct{}

var (
	_ sink.Type      = Type{}
	_ sink.Inspector = Type{}
	_ sink.Unseen    = Type{}
)

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "exec" }

// Reference implements [sink.Type].
func (Type) Reference() string { return reference }

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.WithContent(config.Fields{
		"command": {Holds: config.Words},
		"timeout": {Holds: config.Duration, Default: DefaultTimeout},
		"signal":  SignalField(),
	})
}

// Settings are those of a sink of this type; exactly one of Command and Signal is
// set.
type Settings struct {
	// Command and arguments.
	Command []string
	// Timeout of one run.
	Timeout time.Duration
	Signal  *SignalConfig
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	return &Settings{Command: o.Command(), Timeout: o.Duration("timeout"), Signal: ReadSignal(o)}
}

// To implements [config.Destination].
func (s *Settings) To() string {
	if s.Signal != nil {
		return s.Signal.To()
	}
	return s.Command[0]
}

// Traits implements [config.Destination].
func (s *Settings) Traits() config.Traits {
	if s.Signal != nil {
		return config.Traits{TokensOnly: config.Fault{Message: "a signal tells of tokens only", Hint: "a command in place of the signal"}}
	}
	return config.Traits{Content: true, Format: "json"}
}

// Check implements [config.Destination].
func (s *Settings) Check(o config.Object, _ config.Surroundings) {
	config.AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	switch {
	case o.Broken("command") || o.Broken("signal"):
	case o.Given("command") && s.Signal != nil:
		o.Report(o.At("signal"), "a sink has either a command or a signal", "make two sinks of them")
	case s.Signal != nil:
		CheckSignal(o)
		for _, key := range append(config.ContentKeys(), "timeout") {
			if o.Given(key) {
				o.Report(o.At(key), "has no effect with a signal", "remove the line")
			}
		}
		config.WithoutToken(o, "sends a signal, and no token")
	case !o.Given("command"):
		o.Report(o.At("command"), "the sink has no command", "write command: [program, argument, …], or signal: {pidfile: …, signal: HUP}")
	case len(s.Command) == 0 || s.Command[0] == "":
		o.Report(o.At("command"), "is empty", "write [program, argument, …]")
	default:
		config.SteeredProgram(o, s.Command, workingDir, false)
	}
}

// New implements [sink.Type].
func (Type) New(c config.Sink, with sink.With) (sink.Sink, sink.RetryPolicy, error) {
	s := c.Destination.(*Settings)
	policy := sink.LongerThan(s.Timeout)
	if s.Signal != nil {
		d, err := NewSignaller(*s.Signal)
		return d, policy, err
	}
	encode, err := sink.Encoder(c.Content, 0)
	if err != nil {
		return nil, policy, err
	}
	d, err := New(Config{Command: s.Command, Timeout: s.Timeout, Trust: with.Trust, Encode: encode})
	return d, policy, err
}

// Obstacles implements [sink.Inspector]: a program that can't be started, or a pidfile of
// others. Nothing is run.
func (Type) Obstacles(c config.Sink, _ []config.Account) []sink.Obstacle {
	s := c.Destination.(*Settings)
	if s.Signal != nil {
		return s.Signal.Obstacles()
	}
	_, err := exec.LookPath(s.Command[0])
	if err == nil {
		return nil
	}
	o := sink.Obstacle{Key: "command", Err: explainStart(s.Command[0], err)}
	if !errors.Is(err, fs.ErrPermission) {
		o.Missing = s.Command[0]
	}
	return []sink.Obstacle{o}
}

// Unseen implements [sink.Unseen].
func (Type) Unseen(c config.Sink) string {
	if c.Destination.(*Settings).Signal != nil {
		return "whether the program of the pidfile runs"
	}
	return "what the program does"
}

// Grounds implements [sink.Inspector].
func (Type) Grounds(c config.Sink, _ []config.Account) []sink.Ground {
	return c.Destination.(*Settings).Signal.Grounds()
}

// SignalField describes "signal", which other types of sinks have too.
func SignalField() config.Field {
	return config.Field{Holds: config.Nested, Fields: config.Fields{
		"pidfile":      {Holds: config.Path},
		"signal":       {Holds: config.Word, Default: "HUP"},
		"trust_folder": {Holds: config.Boolean, Default: false},
	}}
}

// ReadSignal reads what stands under "signal" in a sink; nil: nothing is written
// about one.
func ReadSignal(o config.Object) *SignalConfig {
	signal := o.Down("signal")
	if !o.Given("signal") && !signal.Given("pidfile") && !signal.Given("signal") {
		return nil
	}
	return &SignalConfig{PIDFile: signal.Path("pidfile"), Signal: signal.Word("signal"), TrustFolder: signal.Boolean("trust_folder")}
}

// CheckSignal reports what is wrong in what [ReadSignal] has found.
func CheckSignal(o config.Object) {
	signal := o.Down("signal")
	config.Choice(signal, "signal", Signals()...)
	if !signal.Given("pidfile") && !signal.Broken("pidfile") {
		o.Report(signal.At("pidfile"), "the signal has no pidfile", "write pidfile: /run/bot.pid")
	}
}

// To says for people what is sent where.
func (c *SignalConfig) To() string { return fmt.Sprintf("%s to %s", c.Signal, c.PIDFile) }

// Obstacles are that others could have another program signalled; of nil none.
func (c *SignalConfig) Obstacles() []sink.Obstacle {
	if c == nil {
		return nil
	}
	program, err := NewSignaller(*c)
	if err == nil {
		err = program.Trusted()
	}
	if err == nil {
		return nil
	}
	return []sink.Obstacle{{Key: "signal.pidfile", Err: fmt.Errorf("nobody is signalled: %w", err)}}
}

// Grounds is where the pidfile lies; of nil nowhere.
func (c *SignalConfig) Grounds() []sink.Ground {
	if c == nil {
		return nil
	}
	return []sink.Ground{{Path: c.PIDFile, Rule: trust.Rule{OpenFolder: c.TrustFolder}}}
}
