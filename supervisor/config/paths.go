package config

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
)

// maxSocketPath is the longest path of a Unix socket on Linux, in bytes:
// sun_path holds 108 with the zero byte at its end (unix(7)).
const maxSocketPath = 107

// folders are what relative paths are relative to, and what they really are.
type folders struct {
	dir    string            // absolute; of the YAML
	cwd    string            // of the environment and of flags
	real   map[string]string // names without symbolic links
	mounts *mounts.Asker
}

// newFolders takes dir, "" for that of the file at path.
func newFolders(dir, path string, asker *mounts.Asker) (*folders, error) {
	cwd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if dir == "" && path != "" {
		dir = filepath.Dir(path)
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(cwd, dir)
	}
	return &folders{dir: dir, cwd: cwd, real: map[string]string{}, mounts: asker}, nil
}

// base is the folder that a relative path is relative to, if it stands at at.
func (f *folders) base(at Place) string {
	if at.layer == inFile {
		return f.dir
	}
	return f.cwd
}

// notExpanded says that a leading ~ is an ordinary letter here: the
// supervisor often runs as another user than the one who wrote it.
func notExpanded(path string) *Fault {
	if path == "~" || strings.HasPrefix(path, "~/") {
		return &Fault{"~ is not expanded", "write the whole path, or ${env:HOME}/…"}
	}
	return nil
}

// stateDir is the default of state_dir: what systemd made for the service
// (StateDirectory=, systemd.exec(5)), else the usual place of a service, or of
// a user (XDG Base Directory Specification). It is "" if there is none.
func stateDir(env map[string]string, root bool) string {
	if dir, _, _ := strings.Cut(env["STATE_DIRECTORY"], ":"); filepath.IsAbs(dir) {
		return dir
	}
	switch {
	case root:
		return "/var/lib/tokenkeeper"
	case filepath.IsAbs(env["XDG_STATE_HOME"]):
		return filepath.Join(env["XDG_STATE_HOME"], "tokenkeeper")
	case filepath.IsAbs(env["HOME"]):
		return filepath.Join(env["HOME"], ".local/state/tokenkeeper")
	}
	return ""
}

// pluginsDir is the default of plugins.dir: the folder "plugins" beside the
// configuration if there is one, else the one of the machine.
func (f *folders) pluginsDir() string {
	beside := filepath.Join(f.dir, "plugins")
	if f.mounts.Ask(beside) != nil {
		return beside
	}
	if info, err := os.Stat(beside); err == nil && info.IsDir() {
		return beside
	}
	return "/usr/local/lib/tokenkeeper/plugins"
}

// canonical is the name that a file has without symbolic links, as far as it
// exists and can be looked at.
func (f *folders) canonical(path string) string {
	if f.mounts.Ask(path) != nil {
		return path
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return real
		}
	}
	dir := filepath.Dir(path)
	real, known := f.real[dir]
	if !known {
		var err error
		if real, err = filepath.EvalSymlinks(dir); err != nil {
			real = dir
		}
		f.real[dir] = real
	}
	return filepath.Join(real, filepath.Base(path))
}

// liesIn says whether path is dir or lies in it. Both are absolute and clean.
func liesIn(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
