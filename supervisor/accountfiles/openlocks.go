package accountfiles

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// OpenLock is the lock of a shared file that somebody may open who may not open
// the file: he could hold it for ever, and no program would refresh the token.
type OpenLock struct {
	Account string
	Path    string
	// By is who, for people, and Closing the command that keeps them out.
	By, Closing string
}

// OpenLocks looks at the lock of every shared file, but for those in folders
// that the configuration calls trusted. What is missing is passed over: a lock
// is made like its file.
func OpenLocks(cfg *config.Config) []OpenLock {
	judge := trust.Here()
	var found []OpenLock
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		c := cfg.Accounts[name].SharedFile
		if c == nil || c.TrustFolder {
			continue
		}
		who, err := openersOf(judge, c.Lock)
		if err != nil {
			continue
		}
		switch file, err := openersOf(judge, c.Path); {
		case err == nil:
			who = who.Beyond(file)
		case errors.Is(err, fs.ErrNotExist):
			// The group may be that of the programs that will share the file.
			who = who.BeyondGroup()
		}
		if !who.Nobody() {
			found = append(found, OpenLock{name, c.Lock, strings.Join(who.Names(), " and "), who.Closing()})
		}
	}
	return found
}

func openersOf(judge trust.Judge, path string) (trust.Openers, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return trust.Openers{}, err
	}
	return judge.Openers(path)
}
