package file

import (
	_ "embed" // for the reference
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Type is "file" in the configuration.
type Type struct{}

var (
	_ sink.Type      = Type{}
	_ sink.Inspector = Type{}
)

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "file" }

// Reference implements [sink.Type].
func (Type) Reference() string { return reference }

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.WithContent(config.Fields{
		"path":         {Holds: config.Path},
		"mode":         {Holds: config.Mode},
		"owner":        {Holds: config.Word},
		"trust_folder": {Holds: config.Boolean, Default: false},
		"signal":       command.SignalField(),
	})
}

// Settings are those of a sink of this type.
type Settings struct {
	// Path may hold {account} and {provider}; with more than one account it
	// must hold {account}.
	Path string
	Mode fs.FileMode
	// Owner is user, user:group or :group, by name or number; "": unchanged.
	Owner string
	// TrustFolder takes a folder that others may write into.
	TrustFolder bool
	// Signal is sent after each write to a program that then reads the file;
	// nil: none. That no such program runs is no failure.
	Signal *command.SignalConfig
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	return &Settings{
		Path: o.Path("path"), Mode: fs.FileMode(o.Number("mode")), Owner: o.Word("owner"),
		TrustFolder: o.Boolean("trust_folder"), Signal: command.ReadSignal(o),
	}
}

// To implements [config.Destination].
func (s *Settings) To() string {
	if s.Signal != nil {
		return s.Path + ", then " + s.Signal.To()
	}
	return s.Path
}

// Traits implements [config.Destination].
func (s *Settings) Traits() config.Traits {
	return config.Traits{Content: true, Format: format.JSON, TokensOnly: config.Fault{Message: "a file takes tokens only"}, InFiles: true}
}

// PathOf is the file of an account.
func (s *Settings) PathOf(a config.Account) string {
	// Of thousands of accounts a Replacer for each would be felt. No name holds a brace.
	return strings.ReplaceAll(strings.ReplaceAll(s.Path, "{account}", a.Name), "{provider}", a.Provider)
}

var ownerPattern = regexp.MustCompile(`^([^\s:/]+(:[^\s:/]+)?|:[^\s:/]+)$`)

// Check implements [config.Destination].
func (s *Settings) Check(o config.Object, in config.Surroundings) {
	if s.Signal != nil {
		command.CheckSignal(o)
	}
	if s.Mode&0o004 != 0 && in.Sink.IncludeRefreshToken {
		o.Warn(o.At("mode"), fmt.Sprintf("everyone on this machine will be able to read the refresh token (mode %#o)", s.Mode),
			`write mode: "0600", or "0640" with an owner of :group`)
	}
	if !o.Given("mode") && in.Sink.IncludeRefreshToken && in.Answers(s.Path) {
		s.warnOfWideFiles(o)
	}
	if o.Given("mode") && s.Mode&0o400 == 0 && !o.Broken("mode") {
		o.Report(o.At("mode"), "the file's owner could not read it", `write "0600" or "0640"`)
	}
	if o.Given("owner") && !ownerPattern.MatchString(s.Owner) {
		o.Report(o.At("owner"), fmt.Sprintf("%q is not an owner", s.Owner), "write user, user:group or :group")
	}
	if config.Required(o, "path", "/var/lib/bots/{account}.json") {
		s.checkPath(o, in)
	}
}

func (s *Settings) checkPath(o config.Object, in config.Surroundings) {
	at := o.At("path")
	for _, m := range placeholder.FindAllString(s.Path, -1) {
		if m != "{account}" && m != "{provider}" {
			o.Report(at, "holds a placeholder that is unknown", "{account} and {provider} are known")
			return
		}
	}
	if n := len(in.Accounts); n > 1 && !strings.Contains(s.Path, "{account}") {
		o.Report(at, fmt.Sprintf("%d accounts would write the same file", n), "put {account} into the path, or name one account")
		return
	}
	called := fmt.Sprintf("sink %q%s", in.Sink.Name, at.InLine())
	for _, a := range in.Accounts {
		switch by, shared := in.Claim(s.PathOf(a), called); {
		case shared:
			o.Report(at, fmt.Sprintf("the file for account %q is %s", a.Name, by),
				"choose another path, or remove the sink: a shared file gets every new token")
			return
		case by != "":
			o.Report(at, fmt.Sprintf("the file for account %q is that of %s too", a.Name, by), "choose another path")
			return
		}
	}
}

// warnOfWideFiles is for a sink that leaves its files the modes that they have:
// one that is there may let everybody read the refresh token.
func (s *Settings) warnOfWideFiles(o config.Object) {
	// What else Glob reads as a pattern finds nothing to warn of, or the same.
	found, _ := filepath.Glob(placeholder.ReplaceAllString(s.Path, "*"))
	for _, file := range found {
		if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o007 != 0 {
			o.Warn(o.At("path"), fmt.Sprintf("%s has mode %#o, which it keeps: everyone on this machine will be able to use the refresh token", file, info.Mode().Perm()),
				fmt.Sprintf(`write mode: "0640" if that is too much (and: chmod o= %s), or mode: "%#o" if it is meant so`, file, info.Mode().Perm()))
			return
		}
	}
}

// New implements [sink.Type].
func (Type) New(c config.Sink, _ sink.With) (sink.Sink, sink.RetryPolicy, error) {
	s := c.Destination.(*Settings)
	cfg := s.config()
	var err error
	if cfg.Encode, err = sink.Encoder(c.Content, 0); err != nil {
		return nil, sink.RetryPolicy{}, err
	}
	if cfg.Keep, err = sink.Keeper(c.Content); err != nil {
		return nil, sink.RetryPolicy{}, err
	}
	cfg.Decode = sink.Decoder(c.Content)
	f, err := New(cfg)
	if err != nil || s.Signal == nil {
		return f, sink.RetryPolicy{}, err
	}
	program, err := command.NewSignaller(*s.Signal)
	return signalled{f, program}, sink.RetryPolicy{}, err
}

func (s *Settings) config() Config {
	return Config{Path: s.Path, Mode: s.Mode, Owner: s.Owner, TrustFolder: s.TrustFolder}
}

// Obstacles implements [sink.Inspector]: the first folder that is missing, or the first
// file that can't be replaced, and a pidfile of others.
func (Type) Obstacles(c config.Sink, accounts []config.Account) []sink.Obstacle {
	s := c.Destination.(*Settings)
	pidfile := s.Signal.Obstacles()
	if missing := s.missing(accounts); len(missing) > 0 {
		others := ""
		if n := len(missing) - 1; n > 0 {
			others = fmt.Sprintf(", as %d others of its accounts", n)
		}
		return append([]sink.Obstacle{{Key: "path", Missing: missing[0], Err: fmt.Errorf(
			"the folder %s does not exist%s: make it for the user that runs Tokenkeeper", missing[0], others)}}, pidfile...)
	}
	if err := s.replaceable(accounts); err != nil {
		return append([]sink.Obstacle{{Key: "path", Err: err}}, pidfile...)
	}
	return pidfile
}

// missing are the folders that are not there.
func (s *Settings) missing(accounts []config.Account) []string {
	var missing []string
	looked := map[string]bool{}
	for _, a := range accounts {
		folder := filepath.Dir(s.PathOf(a))
		if looked[folder] {
			continue
		}
		looked[folder] = true
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, folder)
		}
	}
	return missing
}

func (s *Settings) replaceable(accounts []config.Account) error {
	cfg := s.config()
	cfg.Encode = func(format.Document) ([]byte, error) { return nil, nil }
	f, err := New(cfg)
	if err != nil {
		return err
	}
	const few = 100 // are tried one by one, and of more one of each kind
	tried := map[fileKind]bool{}
	for i, a := range accounts {
		kind := kindOf(s.PathOf(a))
		if i >= few && tried[kind] {
			continue
		}
		tried[kind] = true
		if err := f.Replaceable(a.Name, a.Provider); err != nil {
			return err
		}
	}
	return nil
}

// fileKind is what most likely decides whether a file can be replaced: where it is,
// and, if it is there, whose and what.
type fileKind struct {
	folder   string
	mode     uint32
	uid, gid uint32
	device   uint64
}

func kindOf(path string) fileKind {
	kind := fileKind{folder: filepath.Dir(path)}
	if info, err := os.Lstat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			kind.mode, kind.uid, kind.gid, kind.device = st.Mode, st.Uid, st.Gid, st.Dev
		}
	}
	return kind
}

// Grounds implements [sink.Inspector].
func (Type) Grounds(c config.Sink, accounts []config.Account) []sink.Ground {
	s := c.Destination.(*Settings)
	grounds := s.Signal.Grounds()
	for _, a := range accounts {
		grounds = append(grounds, sink.Ground{Path: s.PathOf(a), Rule: trust.Rule{OpenFolder: s.TrustFolder}})
	}
	return grounds
}
