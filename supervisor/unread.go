package supervisor

import (
	"errors"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// UnreadAnswer is an answer of a broker that nobody could read.
type UnreadAnswer struct {
	Provider string
	spool.Unread
}

// Unread lists the answers that were put aside in the spools of cfg.
func Unread(cfg *config.Config) ([]UnreadAnswer, error) {
	var all []UnreadAnswer
	for _, name := range cfg.ProviderNames() {
		dir, fallback := spoolDirs(cfg, name)
		for _, d := range []string{dir, fallback} {
			if d == "" {
				continue
			}
			found, err := spool.ListUnread(d)
			if err != nil {
				return nil, err
			}
			for _, u := range found {
				all = append(all, UnreadAnswer{name, u})
			}
		}
	}
	return all, nil
}

// unreadFile is where the unread answer of an attempt lies; "": nowhere.
func unreadFile(cfg *config.Config, provider, attempt string) string {
	if attempt == "" {
		return ""
	}
	dir, fallback := spoolDirs(cfg, provider)
	for _, d := range []string{dir, fallback} {
		if d == "" {
			continue
		}
		path := spool.UnreadPath(d, attempt)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// Stored is of every account that has a token what the store knows, while no
// supervisor runs: its version and grant, and the answers that were set aside. It
// changes nothing. Its errors are those of [store.Records].
func Stored(cfg *config.Config, now time.Time) ([]control.Account, error) {
	dirs := []string{cfg.StateDir}
	if cfg.FallbackDir != "" {
		dirs = append(dirs, store.FallbackOf(cfg.StateDir, cfg.FallbackDir))
	}
	newest, errs := map[string]store.Record{}, []error(nil)
	for _, dir := range dirs {
		records, err := store.Records(dir)
		errs = append(errs, err)
		for _, r := range records {
			if r.Version >= newest[r.Account].Version {
				newest[r.Account] = r
			}
		}
	}
	var all []control.Account
	for _, name := range slices.Sorted(maps.Keys(newest)) {
		r := newest[name]
		all = append(all, control.Account{
			Name: name, Provider: r.Provider, Version: r.Version, Origin: string(r.Origin), Grant: r.Grant, SetAside: setAside(r, now),
		})
	}
	return all, errors.Join(errs...)
}
