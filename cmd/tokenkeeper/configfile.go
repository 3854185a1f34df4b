package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// configPath is the configuration file that the user named, or the first of
// the usual ones that exists.
func (e *configured) configPath() (string, error) {
	for _, named := range []string{e.configFile, e.getenv("TOKENKEEPER_CONFIG")} {
		if named != "" {
			return named, e.reachable(named)
		}
	}
	usual := []string{"tokenkeeper.yaml"}
	if home := e.getenv("XDG_CONFIG_HOME"); home != "" {
		usual = append(usual, filepath.Join(home, "tokenkeeper", "tokenkeeper.yaml"))
	} else if home := e.getenv("HOME"); home != "" {
		usual = append(usual, filepath.Join(home, ".config", "tokenkeeper", "tokenkeeper.yaml"))
	}
	usual = append(usual, "/etc/tokenkeeper/tokenkeeper.yaml")
	for _, path := range usual {
		if err := e.reachable(path); err != nil {
			return "", err
		}
		// Any other error than "not there" is better reported by Load.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, nil
		}
	}
	return "", usageErrorf("there is no configuration at %s: name one with -c, or let \"tokenkeeper init\" write one", strings.Join(usual, ", "))
}

// reachable refuses a configuration whose file system does not answer.
func (e *configured) reachable(path string) error {
	if err := e.asker().Ask(path); err != nil {
		return usageErrorf("the configuration %s can't be read: %w: %s", path, err, mounts.Remedy)
	}
	return nil
}

// load reads the configuration for a verb that sends nothing and delivers
// nothing: whoever runs it need not have the secrets that the service has.
// Warnings go to stderr.
func (e *configured) load() (*config.Config, error) {
	path, err := e.configPath()
	if err != nil {
		return nil, err
	}
	return e.loadFrom(e.secretless(path))
}

// secretless is the configuration at path for who needs none of the service's secrets:
// what the service would know of its folders is known to root, who asks in its place.
func (e *configured) secretless(path string) config.Source {
	src := e.source(path)
	src.Secretless = true
	if name := installedUnit("/", os.Geteuid(), e.getenv); name != "" {
		src.Environ = func() []string { return withServiceFolders(os.Environ(), name, path) }
	}
	return src
}

func (e *configured) loadFrom(src config.Source) (*config.Config, error) {
	if err := e.refuseBorrowed(src.Path); err != nil {
		return nil, err
	}
	cfg, warnings, err := config.Load(src)
	for _, w := range warnings {
		e.warn("%s", w)
	}
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("the configuration has problems:\n%w", err)}
	}
	return cfg, nil
}

func (e *configured) refuseBorrowed(path string) error {
	if !e.borrowed(path) {
		return nil
	}
	return usageErrorf("the configuration %s belongs to the user who called sudo, and whoever wrote it would be root: "+
		"make it root's, run this as that user, or, if you trust it: --trust-config", path)
}

// source is the configuration at path under the command line's flags.
func (e *configured) source(path string) config.Source {
	src := config.Source{
		Path: path, KnownProviders: knownProviders, Sinks: types.Config(), KnownSinks: knownSinks,
		CheckTemplate: checkTemplate, Mounts: e.asker(),
		Steers: e.steers(path), Operands: trust.Operands, Trust: e.trusted(path),
		LastWhole: func(stateDir, account, path string) []byte {
			return sharedfile.LastWhole(sharedfile.NotePath(stateDir, account), path)
		},
	}
	if e.socket != "" {
		// Like every path on a command line, it is relative to the current
		// folder, which is what config makes of a flag.
		src.Flags = map[string]string{"control.socket": e.socket}
	}
	return src
}

// checkTemplate says what is wrong with a sink's template, and in which line.
func checkTemplate(text string, includeRefreshToken bool) (line int, problem string) {
	err := format.CheckTemplate(text, includeRefreshToken)
	if wrong := (*format.TemplateError)(nil); errors.As(err, &wrong) {
		return wrong.Line, wrong.Message
	} else if err != nil {
		return 0, err.Error()
	}
	return 0, ""
}

// knownProviders are the names that an account's provider may have.
func knownProviders(pluginsDir string) []string {
	names := builtins()
	found, _ := process.Discover(pluginsDir) // what can't be read holds none
	for _, f := range found {
		names = append(names, f.Name)
	}
	return names
}

// knownSinks are the types of sinks that are found as plugins.
func knownSinks(pluginsDir string) []string {
	var types []string
	found, _ := process.DiscoverSinks(pluginsDir) // what can't be read holds none
	for _, f := range found {
		types = append(types, f.Name)
	}
	return types
}

// client returns a client of the supervisor that --socket or the configuration
// names.
func (e *configured) client() (*control.Client, error) {
	if e.socket != "" {
		return control.NewClient(e.socket), nil
	}
	path, err := e.configPath()
	if err != nil {
		return nil, usageErrorf("%w; if a supervisor runs, --socket names its control socket", err)
	}
	cfg, err := socketOf(path, e.asker())
	if err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("%w\nuntil that is mended the control socket is not known: name it with --socket", err)}
	}
	return e.reached(cfg)
}

// reached returns a client, or says that there is a supervisor and why nobody
// can reach it, or not yet.
func (e *configured) reached(cfg *config.Config) (*control.Client, error) {
	c := clientOf(cfg)
	if answers(c.Socket()) {
		return c, nil
	}
	if pid := statedir.Starting(cfg.StateDir); pid != 0 {
		c.Close()
		return nil, fmt.Errorf("a supervisor (PID %d) is starting: it opens its store in %s, and answers when that is done. Try again then", pid, cfg.StateDir)
	}
	if pid := statedir.Stopping(cfg.StateDir); pid != 0 {
		c.Close()
		return nil, fmt.Errorf("a supervisor (PID %d) is stopping: it hears out what it has sent, which its log names, and delivers what came of it. "+
			"Try again once one runs", pid)
	}
	if pid := statedir.Displaced(cfg.StateDir); pid != 0 {
		c.Close()
		return nil, fmt.Errorf("a supervisor (PID %d) runs, but its control socket %s has been moved or removed, with its state directory %s perhaps: "+
			"it makes both again within half a minute. Try again then; if it does not help, restart it", pid, c.Socket(), cfg.StateDir)
	}
	return c, nil
}

// clientOf returns a client of the supervisor of a configuration, whose socket
// is in the fallback directory when the state directory took none.
func clientOf(cfg *config.Config) *control.Client {
	socket := cfg.Control.Socket
	if fallback := control.Fallback(cfg); fallback != "" && !answers(socket) && answers(fallback) {
		socket = fallback
	}
	return control.NewClient(socket)
}

// answers says whether somebody listens on a Unix socket.
func answers(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// answersAt says whether somebody listens where the supervisor of a configuration would.
func answersAt(cfg *config.Config) bool {
	c := clientOf(cfg)
	defer c.Close()
	return answers(c.Socket())
}

// socketOf reads no more of a configuration than what names the control
// socket: whoever asks a running supervisor need not have the secrets in his
// environment that the supervisor has, and a file that is being edited must
// not keep anybody from looking. Its readers name accounts, which are not read.
// Of one that is no YAML as a whole the sections count that name the socket, if
// somebody answers there.
func socketOf(path string, asker *mounts.Asker) (*config.Config, error) {
	data, err := config.Read(path)
	if err != nil {
		return nil, err
	}
	cfg, err := socketIn(data, path, asker)
	if errors.Is(err, errNotYAML) {
		if part, broken := socketIn(sectionsOf(data, "state_dir", "fallback_dir", "control"), path, asker); broken == nil && answersAt(part) {
			return part, nil
		}
	}
	return cfg, err
}

// errNotYAML is of a file of which nothing can be read as a whole.
var errNotYAML = errors.New("is not valid YAML")

// sectionsOf is what stands in a file in the sections of some keys, by its lines alone: one
// goes on until a line begins without a space.
func sectionsOf(data []byte, keys ...string) (part []byte) {
	within := false
	for line := range bytes.Lines(data) {
		if !strings.ContainsRune(" \t\r\n#", rune(line[0])) {
			key, _, _ := strings.Cut(string(line), ":")
			within = slices.Contains(keys, strings.TrimSpace(key))
		}
		if within {
			part = append(part, line...)
		}
	}
	return part
}

// socketIn is what [socketOf] reads of the file at path.
func socketIn(data []byte, path string, asker *mounts.Asker) (*config.Config, error) {
	var all map[string]yaml.Node
	if err := yaml.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("%s %w: run \"tokenkeeper check\"", path, errNotYAML) // err may quote a secret
	}
	for key := range all {
		if key != "state_dir" && key != "fallback_dir" && key != "control" {
			delete(all, key)
		}
	}
	environ := socketEnviron
	if section := all["control"]; section.Kind == yaml.MappingNode {
		if at := keyIn(section, "readers"); at >= 0 {
			section.Content = slices.Delete(section.Content, at, at+2)
			all["control"] = section
		}
		if keyIn(section, "socket") >= 0 { // where the state is does not matter then, and a bot may have no $HOME to tell
			environ = func() []string { return append([]string{"HOME=/nonexistent"}, socketEnviron()...) }
		}
	}
	var part []byte // what is left of the file; an empty map would be "{}"
	if len(all) > 0 {
		var err error
		if part, err = yaml.Marshal(all); err != nil {
			return nil, err
		}
	}
	cfg, _, err := config.Load(config.Source{
		Bytes: append(part, oneAccount...), Name: path, Dir: filepath.Dir(path), Environ: environ, Mounts: asker,
	})
	return cfg, err
}

// keyIn is where a key of a mapping is among its nodes; -1: it is not there.
func keyIn(mapping yaml.Node, key string) int {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			return i
		}
	}
	return -1
}

// oneAccount stands in for the accounts where they don't matter: a
// configuration without any is a mistake.
const oneAccount = "\naccounts: {any: {provider: any, client_id: any}}\n"

// socketEnviron is the environment without the overrides of anything else.
func socketEnviron() []string {
	var kept []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "TOKENKEEPER_") || name == "TOKENKEEPER_STATE_DIR" || name == "TOKENKEEPER_FALLBACK_DIR" || name == "TOKENKEEPER_CONTROL__SOCKET" {
			kept = append(kept, entry)
		}
	}
	return kept
}
