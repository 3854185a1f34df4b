package main

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
)

// addSharedZones warns of shared files whose local times can't be right.
func (r *report) addSharedZones(cfg *config.Config, now time.Time) {
	policies := map[string]sdk.Policy{}
	for _, p := range r.Providers {
		policies[p.Name] = p.description.Policy
	}
	for name, a := range cfg.Accounts {
		if a.SharedFile == nil {
			continue
		}
		d, err := supervisor.ReadShared(*a.SharedFile)
		if err != nil {
			continue // there may be none yet
		}
		fault := lineage.ZoneFault(d, policies[a.Provider], now)
		if fault == "" {
			continue
		}
		key := []string{"accounts", name, "shared_file", "timezone"}
		line := lineOf(r.Config, key...)
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: line, Key: "accounts." + name + ".shared_file.timezone",
			Message: a.SharedFile.Path + ": " + fault + " (" + zoneOf(a.SharedFile.Timezone) + ")",
			Hint:    "set timezone to the zone of the programs that write the file, like Europe/Copenhagen",
		})
	}
}

// addOpenLocks warns of locks that others could hold for ever.
func (r *report) addOpenLocks(cfg *config.Config) {
	for _, l := range supervisor.OpenLocks(cfg) {
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: lineOf(r.Config, "accounts", l.Account, "shared_file"), Key: "accounts." + l.Account + ".shared_file.lock",
			Message: l.Path + " may be opened by " + l.By + ", who could hold it for ever: no program would refresh the token then",
			Hint:    l.Closing + " (its group should be that of the programs that share it); or, if they may all hold it, trust_folder: true",
		})
	}
}
