package supervisor

import (
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// Obstacle is a file that each new token replaces and that can't be replaced, a
// socket that a stranger has opened, a path of ours at which he could open one, or
// a pidfile that is his.
type Obstacle struct {
	// Account whose shared file it is, or else Sink that writes it or connects.
	Account, Sink string
	// Key of the sink that is at fault.
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
		f, err := accountfiles.Open(*c)
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
		c := cfg.Sinks[name]
		if t, can := prober(c); can {
			for _, o := range t.Obstacles(c, cfg.SinkAccounts(c)) {
				found = append(found, Obstacle{Sink: name, Key: o.Key, Err: o.Err})
			}
		}
	}
	return found
}

// prober is the type of a sink, if destinations of that type can be looked at.
func prober(c config.Sink) (p sink.Prober, can bool) {
	t, _ := types.Of(c.Type)
	p, can = t.(sink.Prober)
	return p, can
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
