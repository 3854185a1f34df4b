package unixsocket

import (
	_ "embed" // for the reference
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Type is "unixsocket" in the configuration: the socket of a consumer, or ours.
type Type struct{}

var (
	_ sink.Type      = Type{}
	_ sink.Inspector = Type{}
	_ sink.Unseen    = Type{}
)

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "unixsocket" }

// Reference implements [sink.Type].
func (Type) Reference() string { return reference }

// Bounds of max_bytes: one write takes the larger of them all the same.
const (
	leastMessage = 512
	mostMessage  = 128 << 10
)

// What may stand under direction.
const (
	dial   = "dial"
	listen = "listen"
)

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.WithContent(config.Fields{
		"path":          {Holds: config.Path},
		"direction":     {Holds: config.Word, Default: dial},
		"ack":           {Holds: config.Word, Default: AckOK},
		"timeout":       {Holds: config.Duration, Default: DefaultTimeout},
		"attempts":      {Holds: config.Number, Default: 3},
		"interval":      {Holds: config.Duration, Default: 5 * time.Second},
		"max_bytes":     {Holds: config.Number, Default: MessageLimit},
		"mode":          {Holds: config.Mode, Default: 0o600},
		"allow_uids":    {Holds: config.Words},
		"max_consumers": {Holds: config.Number, Default: DefaultMaxConsumers},
		"trust_folder":  {Holds: config.Boolean, Default: false},
	})
}

// Settings are those of a sink of this type.
type Settings struct {
	Path string
	// Ack is what the consumer answers: [AckOK] or [AckNone].
	Ack string
	// Timeout of one try, from connecting to the answer.
	Timeout time.Duration
	// Attempts, Interval apart, before tries become rarer.
	Attempts int
	Interval time.Duration
	// MaxBytes: a message to the consumer is shorter than this.
	MaxBytes int
	// AllowUIDs may be at the other end, beside our own user, root and, where we
	// connect, the owner of the socket's folder.
	AllowUIDs []int
	// Listen is set if consumers connect to us; Path is our socket then, and
	// there is no Ack.
	Listen *Listen
}

// Listen is who may connect.
type Listen struct {
	Mode fs.FileMode
	// TrustFolder takes a folder that others may write into.
	TrustFolder bool
	// MaxConsumers at once.
	MaxConsumers int
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	s := &Settings{
		Path: o.Path("path"), Ack: o.Word("ack"), Timeout: o.Duration("timeout"),
		Attempts: o.Number("attempts"), Interval: o.Duration("interval"), AllowUIDs: o.Users("allow_uids"),
		MaxBytes: o.Number("max_bytes"),
	}
	if o.Word("direction") == listen {
		s.Ack, s.MaxBytes = "", 0
		s.Listen = &Listen{Mode: fs.FileMode(o.Number("mode")), MaxConsumers: o.Number("max_consumers"), TrustFolder: o.Boolean("trust_folder")}
	}
	return s
}

// To implements [config.Destination].
func (s *Settings) To() string { return s.Path }

// Traits implements [config.Destination].
func (s *Settings) Traits() config.Traits {
	if s.Listen == nil {
		return config.Traits{Content: true, Format: "message", TokensOnly: config.Fault{
			Message: "a socket of a consumer takes tokens only", Hint: "direction: listen, which takes them all",
		}}
	}
	return config.Traits{Content: true, Format: "json", JSONOnly: config.Fault{
		Message: "consumers that connect get JSON in lines", Hint: "write json, or another of the formats that are JSON, or direction: dial",
	}}
}

// Check implements [config.Destination].
func (s *Settings) Check(o config.Object, in config.Surroundings) {
	config.Choice(o, "ack", AckOK, AckNone)
	if config.Choice(o, "direction", dial, listen) {
		s.checkDirection(o, in)
	}
	config.AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	config.AtLeast(o, "attempts", s.Attempts, 1)
	config.AtLeast(o, "interval", s.Interval, 0)
	if config.Required(o, "path", "/run/bot/token.sock") {
		config.SocketPath(o, "path", s.Path)
	}
}

func (s *Settings) checkDirection(o config.Object, in config.Surroundings) {
	foreign, other := []string{"mode", "max_consumers", "trust_folder"}, listen
	if s.Listen != nil {
		foreign, other = []string{"ack", "max_bytes"}, dial
	}
	for _, key := range foreign {
		if o.Given(key) {
			o.Report(o.At(key), "has no effect with direction "+o.Word("direction"), "remove the line, or write direction: "+other)
		}
	}
	if s.Listen == nil {
		config.Within(o, "max_bytes", s.MaxBytes, leastMessage, mostMessage)
		return
	}
	config.AtLeast(o, "max_consumers", s.Listen.MaxConsumers, 1)
	if len(s.AllowUIDs) > 0 && s.Listen.Mode&0o022 == 0 {
		o.Warn(o.At("allow_uids"), fmt.Sprintf("other users can't connect to a socket of mode %#o", s.Listen.Mode),
			`write mode: "0666", which lets everybody reach it and those in allow_uids in`)
	}
	if s.Path == "" {
		return
	}
	if by, _ := in.Claim(s.Path, "a sink's socket"+o.At("path").InLine()); by != "" {
		o.Report(o.At("path"), "the socket's path is that of "+by+" too", "choose another path")
	}
}

// New implements [sink.Type].
func (Type) New(c config.Sink, _ sink.With) (sink.Sink, sink.RetryPolicy, error) {
	s := c.Destination.(*Settings)
	policy := sink.RetryPolicy{Attempts: s.Attempts, Interval: s.Interval, Timeout: s.Timeout + time.Second}
	encode, err := sink.Encoder(c.Content, sink.OneLine)
	if err != nil {
		return nil, policy, err
	}
	l := s.Listen
	if l == nil {
		d, err := New(Config{
			Path: s.Path, Ack: s.Ack, Timeout: s.Timeout, MaxBytes: s.MaxBytes, AllowUIDs: s.AllowUIDs, Encode: encode,
		})
		return d, policy, err
	}
	// A delivery may wait for a consumer's greeting before its own write.
	policy.Timeout += s.Timeout
	d, err := NewListener(ListenConfig{
		Path: s.Path, Timeout: s.Timeout, Mode: l.Mode, TrustFolder: l.TrustFolder, AllowUIDs: s.AllowUIDs, MaxConsumers: l.MaxConsumers, Encode: encode,
	})
	return d, policy, err
}

// Obstacles implements [sink.Inspector].
func (Type) Obstacles(c config.Sink, _ []config.Account) []sink.Obstacle {
	s := c.Destination.(*Settings)
	folder := filepath.Dir(s.Path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return []sink.Obstacle{s.withoutFolder(folder)}
	}
	try := s.stranger
	if s.Listen != nil {
		try = s.exposed
	}
	err := try()
	if err == nil {
		return nil
	}
	return []sink.Obstacle{{Key: "path", Err: err}}
}

// withoutFolder says whose task it is to make the socket's folder.
func (s *Settings) withoutFolder(folder string) sink.Obstacle {
	o := sink.Obstacle{Key: "path", Missing: folder, Later: s.Listen == nil}
	if o.Later {
		o.Err = fmt.Errorf("the folder %s does not exist, in which the consumer opens its socket: nothing is delivered before it is there", folder)
	} else {
		o.Err = fmt.Errorf("the folder %s does not exist, in which the socket is opened: make it for the user that runs Tokenkeeper", folder)
	}
	return o
}

// Unseen implements [sink.Unseen].
func (Type) Unseen(c config.Sink) string {
	s := c.Destination.(*Settings)
	if s.Listen != nil {
		return ""
	}
	folder := filepath.Dir(s.Path)
	entries, err := os.ReadDir(folder)
	if err != nil || s.other(os.Stat) != nil { // an obstacle, if it is one
		return "whether the consumer answers"
	}
	var sockets []string
	for _, e := range entries {
		if e.Name() == filepath.Base(s.Path) {
			return "whether the consumer answers"
		}
		if e.Type() == fs.ModeSocket {
			sockets = append(sockets, e.Name())
		}
	}
	if meant := nearest.Of(filepath.Base(s.Path), sockets); meant != "" {
		return fmt.Sprintf("whether the consumer will open %s, which is not there now, though %s is", s.Path, filepath.Join(folder, meant))
	}
	return fmt.Sprintf("whether the consumer will open %s, which is not there now", s.Path)
}

// stranger says that somebody has opened the consumer's socket to whom nothing
// will be sent, or that no socket can be where something else is. It is not connected to, because many a consumer takes a connection
// that says nothing for an error: who opened a socket owns its file.
func (s *Settings) stranger() error {
	err := localsocket.Served(s.Path, s.AllowUIDs)
	if _, ok := errors.AsType[*trust.Refusal](err); ok {
		return err
	}
	if other := s.other(os.Stat); other != nil {
		return other
	}
	if peer, ok := errors.AsType[*trust.PeerRefusal](err); ok {
		return fmt.Errorf("%w; if that is the right one, write allow_uids: [%s]", err, peer.Key)
	}
	return nil
}

// other says that something is where a socket should be that is none, and why what is
// there can't be told; nothing there is in order.
func (s *Settings) other(look func(path string) (fs.FileInfo, error)) error {
	info, err := look(s.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("the socket can't be reached: %w", err)
	case info.Mode().Type() == fs.ModeSocket:
		return nil
	}
	kind := strings.TrimSuffix(files.Kind(info.Mode()), " and no file")
	return fmt.Errorf("%s is no socket but %s: move it away, or set path to that of the socket", s.Path, kind)
}

// exposed says that others could put a socket of their own in the place of ours, or
// that we may not open one.
func (s *Settings) exposed() error {
	err := localsocket.Refusal(s.Path, s.Listen.TrustFolder)
	if err == nil {
		err = s.other(os.Lstat)
	}
	if err == nil {
		err = unix.Access(filepath.Dir(s.Path), unix.W_OK|unix.X_OK)
	}
	if err != nil {
		return fmt.Errorf("the socket %s is not opened: %w", s.Path, err)
	}
	return nil
}

// Grounds implements [sink.Inspector].
func (Type) Grounds(c config.Sink, _ []config.Account) []sink.Ground {
	s := c.Destination.(*Settings)
	if s.Listen != nil {
		return []sink.Ground{{Path: s.Path, Rule: trust.Rule{OpenFolder: s.Listen.TrustFolder}}}
	}
	return []sink.Ground{{Path: s.Path, Rule: trust.Rule{Users: s.AllowUIDs}}}
}
