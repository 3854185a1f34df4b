package notify

import (
	_ "embed" // for the reference
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Type is "notify" in the configuration.
type Type struct{}

var (
	_ sink.Type   = Type{}
	_ sink.Unseen = Type{}
)

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "notify" }

// Unseen implements [sink.Unseen].
func (Type) Unseen(config.Sink) string { return "whether the addresses take messages" }

// Reference implements [sink.Type].
func (Type) Reference() string { return reference }

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.Fields{
		"urls":    {Holds: config.Secrets},
		"timeout": {Holds: config.Duration, Default: DefaultTimeout},
	}
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	return &Config{URLs: o.Secrets("urls", addressFault), Timeout: o.Duration("timeout")}
}

// addressFault does not quote the address: it may hold a password.
func addressFault(url string) *config.Fault {
	if url == "" {
		return &config.Fault{Message: "is empty", Hint: "write an address, or remove it"}
	}
	if err := Check(url); err != nil {
		return &config.Fault{Message: err.Error()}
	}
	return nil
}

// To implements [config.Destination]. An address may be a secret as a whole.
func (c *Config) To() string {
	if len(c.URLs) == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", len(c.URLs))
}

// Traits implements [config.Destination].
func (c *Config) Traits() config.Traits {
	return config.Traits{
		Events:  []string{config.SendAlert},
		NoToken: "a sink of type notify tells people, through services of others, and is never given a token",
	}
}

// Check implements [config.Destination].
func (c *Config) Check(o config.Object, _ config.Surroundings) {
	config.AtLeast(o, "timeout", c.Timeout, time.Millisecond)
	switch {
	case !o.Given("urls"):
		o.Report(o.At("urls"), "the sink has no urls", "write urls: [\"${env:NAME}\"], each the address of a service, like ntfy://ntfy.sh/topic")
	case len(c.URLs) == 0 && !o.Broken("urls"):
		o.Report(o.At("urls"), "is an empty list", "write at least one address, like ntfy://ntfy.sh/topic")
	}
	config.WithoutToken(o, "is never given a token")
}

// New implements [sink.Type].
func (Type) New(s config.Sink, _ sink.With) (sink.Sink, sink.RetryPolicy, error) {
	c := s.Destination.(*Config)
	d, err := New(*c)
	return d, sink.LongerThan(c.Timeout), err
}
