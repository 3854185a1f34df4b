package ownership

import (
	"context"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Adopt makes a store this machine's while no supervisor runs: the store's lock
// makes sure of that.
func Adopt(ctx context.Context, cfg *config.Config) (got control.AdoptAnswer, err error) {
	facts := machine.Read()
	err = statedir.Use(cfg.StateDir, cfg.FallbackDir, func(st *store.Journal) error {
		owner, err := st.Owner(ctx)
		if err != nil {
			return err
		}
		facts, unguarded := machine.Here(cfg.MachineGuard, facts, owner)
		got, _, err = adopt(ctx, st, unguarded, owner.Found(facts), facts)
		return err
	})
	return got, err
}

// Of says whose the store is while no supervisor runs, without changing
// anything. Its errors are those of [store.Peek].
func Of(cfg *config.Config) (control.Machine, error) {
	facts := machine.Read()
	contents, err := store.Peek(cfg.StateDir)
	owner := contents.Owner()
	facts, unguarded := machine.Here(cfg.MachineGuard, facts, owner)
	if !owner.Name.Zero() {
		owner = owner.Found(facts)
	}
	return status(unguarded, owner, facts), err
}
