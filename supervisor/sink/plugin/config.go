package plugin

import (
	_ "embed" // for the reference
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Type is every type that is not built in.
type Type struct{}

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "" }

// Reference is its part of the reference of the configuration.
func (Type) Reference() string { return reference }

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.WithContent(config.Fields{
		"command":  {Holds: config.Words},
		"sha256":   {Holds: config.Word},
		"settings": {Holds: config.Table, Each: &config.Field{Holds: config.Secret}},
		"timeout":  {Holds: config.Duration, Default: DefaultTimeout},
		"restore":  {Holds: config.Boolean, Default: true},
	})
}

// Settings are those of a sink that is a plugin.
type Settings struct {
	// Command and arguments; empty: tokenkeeper-sink-TYPE in the plugin
	// directory.
	Command []string
	// SHA256 of the binary in hexadecimal; "": not checked.
	SHA256 string
	// Own are those that the program knows.
	Own sdk.Settings
	// Timeout of one try.
	Timeout time.Duration
	// Restore takes accounts that have no usable token from this sink at
	// start.
	Restore bool
}

// Of returns the settings of a sink that is a plugin; ok is false for others.
func Of(s config.Sink) (settings *Settings, ok bool) {
	settings, ok = s.Destination.(*Settings)
	return settings, ok
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	s := &Settings{
		Command: o.Command(), SHA256: o.Word("sha256"), Own: sdk.Settings{},
		Timeout: o.Duration("timeout"), Restore: o.Boolean("restore"),
	}
	for name, value := range o.Settings() {
		s.Own[name] = sdk.NewSecret(value)
	}
	return s
}

// To implements [config.Destination]; "": the program is looked for.
func (s *Settings) To() string { return strings.Join(s.Command, " ") }

// Traits implements [config.Destination].
func (s *Settings) Traits() config.Traits { return config.Traits{Content: true, Format: format.JSON} }

// Check implements [config.Destination].
func (s *Settings) Check(o config.Object, _ config.Surroundings) {
	config.AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	config.Program(o)
}

// Configured returns the sink that s says. cfg has all that is not in there.
func Configured(s config.Sink, cfg Config) (*Sink, sink.RetryPolicy, error) {
	own := s.Destination.(*Settings)
	policy := sink.LongerThan(own.Timeout)
	cfg.Name, cfg.Type, cfg.Settings, cfg.Timeout = s.Name, s.Type, own.Own, own.Timeout
	var err error
	if cfg.Encode, err = sink.Encoder(s.Content, 0); err != nil {
		return nil, policy, err
	}
	if own.Restore {
		cfg.Decode = sink.Decoder(s.Content)
	}
	d, err := New(cfg)
	return d, policy, err
}
