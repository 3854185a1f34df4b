package supervisor

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
)

// Obstacle is a file that each new token replaces and that can't be replaced, a
// socket that a stranger has opened, a path of ours at which he could open one, or
// a pidfile that is his.
type Obstacle struct {
	// Account whose shared file it is, or else Sink that writes it or connects.
	Account, Sink string
	// Key of the sink that is at fault; "": its path.
	Key string
	// Err says why, and what to do.
	Err error
}

// Obstacles tries every shared file and every file of a sink that cfg names,
// as whoever calls it, and leaves nothing behind. A directory that is not there
// is passed over: a service may make it before it starts.
func Obstacles(cfg *config.Config) []Obstacle {
	var found []Obstacle
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		c := cfg.Accounts[name].SharedFile
		if c == nil || !isDir(filepath.Dir(c.Path)) {
			continue
		}
		f, err := sharedfiles.Open(*c)
		if err == nil {
			err = f.Trusted()
		}
		if err == nil {
			err = f.Replaceable()
		}
		if err != nil {
			found = append(found, Obstacle{Account: name, Err: err})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if c := cfg.Sinks[name]; c.File != nil {
			if err := tryFiles(cfg, c); err != nil {
				found = append(found, Obstacle{Sink: name, Err: err})
			}
		}
	}
	return slices.Concat(found, strangers(cfg), exposed(cfg), pidfiles(cfg))
}

// tryFiles returns what is wrong with the first file of a sink that is not as
// it should be.
func tryFiles(cfg *config.Config, c config.Sink) error {
	f, err := blankFile(c)
	if err != nil {
		return err
	}
	for _, a := range cfg.SinkAccounts(c) {
		if path, err := f.PathOf(a.Name, a.Provider); err == nil && !isDir(filepath.Dir(path)) {
			continue
		}
		if err := f.Replaceable(a.Name, a.Provider); err != nil {
			return err
		}
	}
	return nil
}

// blankFile is a file sink that writes nothing.
func blankFile(c config.Sink) (*file.Sink, error) {
	encode := func(format.Document) ([]byte, error) { return nil, nil }
	return file.New(file.Config{Path: c.File.Path, Mode: c.File.Mode, Owner: c.File.Owner, TrustFolder: c.File.TrustFolder, Encode: encode})
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
