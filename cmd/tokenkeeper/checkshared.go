package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/accountfiles"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
)

// addZones warns of files that other programs write too, and whose local times
// can't be right.
func (r *report) addZones(ctx context.Context, cfg *config.Config, now time.Time) {
	policies := map[string]sdk.Policy{}
	for _, p := range r.Providers {
		policies[p.Name] = p.description.Policy
	}
	for name, a := range cfg.Accounts {
		if a.SharedFile == nil {
			continue
		}
		if d, err := accountfiles.Read(*a.SharedFile); err == nil { // there may be none yet
			r.addZone(a.SharedFile.Path, lineage.ZoneFault(d, policies[a.Provider], now), a.SharedFile.Timezone, "accounts", name, "shared_file")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		c := cfg.Sinks[name]
		if !c.IncludeRefreshToken {
			continue
		}
		for _, a := range cfg.SinkAccounts(c) {
			path, d, ok := supervisor.ReadSinkFile(ctx, c, a)
			if fault := lineage.ZoneFault(d, policies[a.Provider], now); ok && fault != "" {
				r.addZone(path, fault, c.Content.Timezone, "sinks", name)
				break // the zone is the sink's
			}
		}
	}
}

// addZone warns of what is wrong with the local times in a file, if anything is.
func (r *report) addZone(path, fault, timezone string, at ...string) {
	if fault == "" {
		return
	}
	key := append(at, "timezone")
	r.Warnings = append(r.Warnings, finding{
		File: r.Config, Line: r.where().of(key...), Key: strings.Join(key, "."),
		Message: path + ": " + fault + " (" + zoneOf(timezone) + ")",
		Hint:    "set timezone to the zone of the programs that write the file, like Europe/Copenhagen",
	})
}

// addOpenLocks warns of locks that others could hold for ever.
func (r *report) addOpenLocks(cfg *config.Config) {
	for _, l := range accountfiles.OpenLocks(cfg) {
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: r.where().of("accounts", l.Account, "shared_file"), Key: "accounts." + l.Account + ".shared_file.lock",
			Message: l.Path + " may be opened by " + l.By + ", who could hold it for ever: no program would refresh the token then",
			Hint:    l.Closing + " (its group should be that of the programs that share it); or, if they may all hold it, trust_folder: true",
		})
	}
}
