package backend

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

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
			Name: name, Provider: r.Provider, Shown: refresh.Shown{Version: r.Version, Origin: r.Origin, Grant: r.Grant}, SetAside: setAside(r, now),
		})
	}
	return all, errors.Join(errs...)
}
