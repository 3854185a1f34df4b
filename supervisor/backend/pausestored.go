package backend

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// PauseStored pauses accounts, all that are configured if none is named, while no
// supervisor runs: the store's lock makes sure of that. All of them are known, or none is
// paused.
func PauseStored(ctx context.Context, cfg *config.Config, names []string, req control.PauseRequest, now time.Time) (all []control.PauseAnswer, err error) {
	if err := req.Check(); err != nil {
		return nil, err
	}
	said := store.Pause{Since: now, By: req.By, Reason: req.Reason}
	if req.For > 0 {
		said.Until = now.Add(req.For)
	}
	return inStore(cfg, names, func(st *store.Journal, name string) (control.PauseAnswer, error) {
		a := control.PauseAnswer{Account: name, Pause: said}
		was, paused, err := st.Pause(ctx, name)
		if err != nil {
			return a, err
		}
		if a.Already = paused && was.Holds(now); a.Already {
			a.Pause = was.Again(said)
		}
		stands := &was
		if !paused {
			stands = nil
		}
		return a, st.PutPause(ctx, name, stands, &a.Pause)
	})
}

// ResumeStored ends the pauses of accounts in the same way.
func ResumeStored(ctx context.Context, cfg *config.Config, names []string) (all []control.ResumeAnswer, err error) {
	return inStore(cfg, names, func(st *store.Journal, name string) (control.ResumeAnswer, error) {
		a := control.ResumeAnswer{Account: name}
		was, paused, err := st.Pause(ctx, name)
		if err != nil || !paused {
			return a, err
		}
		a.Resumed, a.Pause = true, &was
		return a, st.PutPause(ctx, name, &was, nil)
	})
}

// inStore does something with each account, in the store that nobody uses.
func inStore[T any](cfg *config.Config, names []string, do func(st *store.Journal, name string) (T, error)) (all []T, err error) {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(cfg.Accounts))
	}
	for _, name := range names {
		if _, ok := cfg.Accounts[name]; !ok {
			return nil, control.NoAccount(name, cfg)
		}
	}
	err = statedir.Use(cfg.StateDir, cfg.FallbackDir, func(st *store.Journal) error {
		for _, name := range names {
			one, err := do(st, name)
			if err != nil {
				return err
			}
			all = append(all, one)
		}
		return nil
	})
	return all, err
}
