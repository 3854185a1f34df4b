package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// Source is what a configuration is loaded from. A later layer wins over an
// earlier one, key by key: defaults, YAML, environment, flags.
type Source struct {
	// Path of the YAML file; "": none, or Bytes.
	Path string
	// Bytes, if not nil, are used in place of a file, and Name stands for it
	// in messages.
	Bytes []byte
	Name  string
	// Dir is what relative paths in the YAML are relative to; "": the folder
	// of Path. Those in the environment and in flags are relative to the
	// current folder, as everywhere else.
	Dir string
	// Environ lists the environment as NAME=value; nil: [os.Environ].
	Environ func() []string
	// Flags are values by dotted key, as in log.level.
	Flags map[string]string
	// KnownProviders returns the names of the built-in providers and of those
	// found in the plugin directory; nil: providers are not checked. One that
	// has a command in the configuration is always known.
	KnownProviders func(pluginsDir string) []string
	// Sinks are the types of sinks that there are.
	Sinks SinkTypes
	// KnownSinks returns the types of sinks that are found as plugins in the
	// plugin directory; nil: types that are not built in are not checked. One
	// that has a command in the configuration is always known.
	KnownSinks func(pluginsDir string) []string
	// CheckTemplate executes the template of a sink with a document that is
	// made up, and returns the line of the template that is wrong (0: unknown)
	// and why, "" if nothing is; nil: templates are not checked.
	CheckTemplate func(text string, includeRefreshToken bool) (line int, problem string)
	// Steers says why somebody could change a path, or what it lies in, who is
	// neither root nor the user that runs this process nor one of trusted; nil:
	// nothing is asked. It is asked of this configuration, of secrets and
	// programs.
	Steers func(path string, trusted []int) error
	// Operands are the files that decide what a command does beside its program, by
	// the words that name them, 0 being the program's; dir is where it is run. With
	// onlyRun a file counts only if it may be run; nil: there are none.
	Operands func(command []string, dir string, onlyRun bool) map[int][]string
	// Trust are users who are trusted beside those that the configuration names.
	Trust []int
	// LastWhole returns what was last seen in the shared file at path of an
	// account when it was whole, nil if nothing is known; nil: nothing is.
	LastWhole func(stateDir, account, path string) []byte
	// StrictFiles makes a problem of a certificate or key of a sink that can't
	// be loaded; without it, it is a warning, because only this sink needs it
	// and it may come later.
	StrictFiles bool
	// Secretless: for who needs none of the values that accounts and sinks refer
	// to. One that can't be had is left out, and is no problem.
	Secretless bool
	// Mounts is asked whether file systems answer; nil: one of its own.
	Mounts *mounts.Asker
	// NamesOnly: for who needs but what there is, and not what accounts, sinks and
	// providers refer to: those variables and files are not read.
	NamesOnly bool
	// Comparable: for who will want to know what another load says otherwise. The
	// configuration then has a [Digest].
	Comparable bool
}

// The largest files that are read: the YAML, and one that it refers to.
const (
	maxFileSize   = 16 << 20
	maxSecretSize = 1 << 20
)

// loader is the state of one Load.
type loader struct {
	*findings
	folders    *folders
	steering   *steering
	references *references
	schema     Field
	sinks      sinkSchema
	// exposed is the mode of the YAML file if others than its owner can read
	// it, else 0.
	exposed fs.FileMode

	root     Object          // all layers together
	accounts []string        // their names, in order
	referred map[string]bool // settings that are given by reference
}

func dotted(path []string) string { return strings.Join(path, ".") }

// Load reads, merges, resolves and checks a configuration. It reads files but
// changes nothing and starts nothing. The error is of type [Problems] and
// tells all that is wrong; warnings are returned with and without an error.
func Load(src Source) (*Config, []Warning, error) {
	l, data := open(src)
	return l.load(data)
}

func (l *loader) load(data []byte) (*Config, []Warning, error) {
	root := &entry{}
	if len(l.problems) == 0 {
		(&document{findings: l.findings}).read(data, l.schema, root)
	}
	// Without a readable file everything else would be reported as missing.
	if root.below == nil && len(l.problems) > 0 {
		return nil, nil, l.problems
	}
	(&overrides{findings: l.findings, schema: l.schema, root: root, fixed: l.references.fixed}).lay()
	l.root = Object{l, root, l.schema.Fields, nil, ""}
	cfg := l.decode()
	l.validate(cfg)
	if l.source.Comparable && len(l.problems) == 0 {
		cfg.digest = l.digest(cfg)
	}
	l.findings.sort()
	if len(l.problems) > 0 {
		return nil, l.warnings, l.problems
	}
	cfg.origin = l.origin(data)
	cfg.FixedReferences = slices.Sorted(maps.Keys(l.references.fixed))
	return cfg, l.warnings, nil
}

// open prepares a loader and reads the YAML.
func open(src Source) (*loader, []byte) {
	sinks := newSinkSchema(src.Sinks)
	if src.Mounts == nil {
		src.Mounts = &mounts.Asker{}
	}
	found := &findings{source: src, file: src.Path, badNames: map[string]bool{}}
	l := &loader{
		findings: found, schema: schema(sinks), sinks: sinks, referred: map[string]bool{},
		steering: &steering{found, src.Trust, map[string]error{}},
	}
	if l.source.Environ == nil {
		l.source.Environ = os.Environ
	}
	if src.Bytes != nil || src.Path == "" {
		l.file = src.Name
		if l.file == "" {
			l.file = "configuration"
		}
	}
	var err error
	if l.folders, err = newFolders(src.Dir, src.Path, src.Mounts); err != nil {
		l.report(Place{file: l.file}, "the current folder can't be found: "+reason(err), "start in a folder that exists")
		return l, nil
	}
	l.references = &references{
		findings: found, folders: l.folders, steering: l.steering, environ: environment(l.source.Environ()),
		secrets: map[string]*secretText{}, told: map[string]bool{}, fixed: map[string]bool{},
	}
	if src.Bytes != nil || src.Path == "" {
		return l, src.Bytes
	}
	if l.steering.steered(Place{file: l.file}, src.Path); len(l.problems) > 0 {
		return l, nil
	}
	data, mode, err := l.read(src.Path, maxFileSize)
	if err != nil {
		l.report(Place{file: l.file}, "can't be read: "+reason(err), remedy(err, "name the right file, or let \"tokenkeeper init\" write one"))
		return l, nil
	}
	if mode&0o044 != 0 {
		l.exposed = mode
	}
	return l, data
}

// environment is what entries like NAME=value say.
func environment(entries []string) map[string]string {
	all := make(map[string]string, len(entries))
	for _, entry := range entries {
		if name, value, ok := strings.Cut(entry, "="); ok {
			all[name] = value
		}
	}
	return all
}

// Read returns what stands in the configuration file at path.
func Read(path string) ([]byte, error) {
	data, _, err := readText(path, maxFileSize)
	return data, err
}

// readText reads a whole regular file, and waits for nobody.
func readText(path string, limit int64) ([]byte, fs.FileMode, error) {
	data, info, err := files.ReadWhole(path, limit)
	if err != nil {
		return nil, 0, err
	}
	return data, info.Mode().Perm(), nil
}

// read is [readText], and does not wait for a file system that does not answer either.
func (f *findings) read(path string, limit int64) ([]byte, fs.FileMode, error) {
	if err := f.source.Mounts.Ask(path); err != nil {
		return nil, 0, err
	}
	return readText(path, limit)
}

// remedy says what to do about a file that can't be read; missing: if it is not there.
func remedy(err error, missing string) string {
	if _, irregular := errors.AsType[files.Irregular](err); irregular {
		return "name a regular file"
	}
	if mounts.IsSilent(err) {
		return mounts.Remedy
	}
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	return "let the user who runs tokenkeeper read it"
}

// reason is err without the path that the os package puts before it.
func reason(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	return err.Error()
}
