package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// Obstacle is a file that each new token replaces and that can't be replaced, a
// socket that a stranger has opened, a path of ours at which he could open one, a
// pidfile that is his, a folder or a program that is missing.
type Obstacle struct {
	// Account whose shared file it is, or else Sink whose destination it is.
	Account, Sink string
	sink.Obstacle
}

// Obstacles tries every shared file and every destination of a sink that cfg names
// and that can be tried without anybody's noticing it, as whoever calls it, and
// leaves nothing behind.
func Obstacles(cfg *config.Config) []Obstacle {
	return obstacles(cfg, slices.Sorted(maps.Keys(cfg.Accounts)), slices.Sorted(maps.Keys(cfg.Sinks)))
}

// looking is how long the disks may take that hold what has come or changed.
const looking = 5 * time.Second

// obstaclesOf are those of what has come or changed, for people. On a disk that is dead it
// leaves behind who looks.
func obstaclesOf(ctx context.Context, cfg *config.Config, d difference.Difference) []string {
	found := make(chan []string, 1)
	go func() {
		var lines []string
		for _, o := range obstacles(cfg, named(d.Accounts), named(d.Sinks)) {
			what := "sink " + o.Sink
			if o.Account != "" {
				what = "account " + o.Account
			}
			lines = append(lines, fmt.Sprintf("%s: %v", what, o.Err))
		}
		found <- lines
	}()
	select {
	case lines := <-found:
		return lines
	case <-ctx.Done():
	case <-time.After(looking):
	}
	return []string{fmt.Sprintf("a disk with a destination has not answered for %s; to see what is in its way: tokenkeeper check", looking)}
}

// named are those of a section that are there.
func named(s difference.Section) []string {
	names := slices.Clone(s.Added)
	for _, c := range s.Changed {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// obstacles are those of some accounts and sinks of cfg.
func obstacles(cfg *config.Config, accounts, sinks []string) (found []Obstacle) {
	for _, name := range accounts {
		if c := cfg.Accounts[name].SharedFile; c != nil {
			if missing, err := tryShared(*c); err != nil {
				found = append(found, Obstacle{Account: name, Obstacle: sink.Obstacle{Err: err, Missing: missing}})
			}
		}
	}
	for _, name := range sinks {
		c := cfg.Sinks[name]
		if t, can := inspector(c); can {
			for _, o := range t.Obstacles(c, cfg.SinkAccounts(c)) {
				found = append(found, Obstacle{Sink: name, Obstacle: o})
			}
		}
	}
	return found
}

// tryShared says what is in the way of a shared file, and which folder is missing if
// that is it.
func tryShared(c config.SharedFile) (missing string, err error) {
	folder := filepath.Dir(c.Path)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return folder, fmt.Errorf("the folder %s of the shared file does not exist: make it for the user that runs Tokenkeeper", folder)
	}
	f, err := accountfiles.Open(c)
	if err == nil {
		err = f.Trusted()
	}
	if err == nil {
		err = f.Replaceable()
	}
	if err == nil {
		if _, unread := f.Read(); !sharedfile.Nothing(unread) {
			err = unread
		}
	}
	return "", err
}

// Unseen says in a few words what of a sink's destination shows only when something
// is sent there; "": nothing.
func Unseen(c config.Sink) string {
	t, builtIn := types.Of(c.Type)
	if !builtIn {
		return "whether the plugin reaches its destination"
	}
	if u, some := t.(sink.Unseen); some {
		return u.Unseen(c)
	}
	return ""
}

// inspector is the type of a sink, if destinations of that type can be looked at.
func inspector(c config.Sink) (p sink.Inspector, can bool) {
	t, _ := types.Of(c.Type)
	p, can = t.(sink.Inspector)
	return p, can
}
