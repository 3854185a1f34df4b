package config

import (
	"errors"
	"io/fs"
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
	known  map[string]folder // by dir
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
	return &folders{dir: dir, cwd: cwd, known: map[string]folder{}, mounts: asker}, nil
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

// folder is one that files lie in.
type folder struct {
	// real is its name without symbolic links.
	real string
	// links are the symbolic links in it, if it could be read; nil: it could not.
	links map[string]bool
}

// canonical is the name that a file has without symbolic links, as far as it
// exists and can be looked at.
func (f *folders) canonical(path string) string {
	dir, name := filepath.Dir(path), filepath.Base(path)
	in, known := f.known[dir]
	if !known {
		in = f.look(dir)
		f.known[dir] = in
	}
	if in.links == nil || in.links[name] {
		if f.mounts.Ask(path) != nil {
			return path
		}
		if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
			if real, err := filepath.EvalSymlinks(path); err == nil {
				return real
			}
		}
	}
	return filepath.Join(in.real, name)
}

// look reads a folder once for all the files in it, instead of looking at each.
func (f *folders) look(dir string) folder {
	in := folder{real: dir}
	if f.mounts.Ask(dir) != nil {
		return in
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		in.real = real
	}
	switch entries, err := os.ReadDir(dir); {
	case err == nil:
		in.links = map[string]bool{}
		for _, e := range entries {
			if e.Type()&os.ModeSymlink != 0 {
				in.links[e.Name()] = true
			}
		}
	case errors.Is(err, fs.ErrNotExist):
		in.links = map[string]bool{}
	}
	return in
}

// liesIn says whether path is dir or lies in it. Both are absolute and clean.
func liesIn(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
