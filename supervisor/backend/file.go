package backend

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/configfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
)

// This file tells what the configuration's file says otherwise than what runs.

// ConfigDifference implements [control.Backend].
func (b overview) ConfigDifference(ctx context.Context) (control.ConfigDifference, error) {
	seen, err := b.File.Look(ctx)
	if err != nil {
		return control.ConfigDifference{}, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	d := b.differs(seen)
	if seen.Config != nil {
		d.Obstacles = b.Obstacles(ctx, seen.Config, seen.Difference)
	}
	there := b.Roster.Now()
	for _, name := range seen.Difference.Accounts.Removed {
		k, ok := there.KeeperOf(name)
		if !ok {
			continue
		}
		st, _ := k.Status(name)
		d.Left = append(d.Left, control.LeftLogin{
			Account: name, Provider: there.Config.Accounts[name].Provider, Way: st.Way,
			Expiry: st.Expiry, RefreshExpiry: st.RefreshExpiry, RefreshExpiryUncertain: st.RefreshExpiryUncertain,
		})
	}
	return d, nil
}

// Reload implements [control.Backend].
func (b overview) Reload(ctx context.Context) (control.ReloadAnswer, error) {
	d, err := b.Config.Reload(ctx)
	if err != nil {
		refused := control.Errorf(control.CodeConflict, "%v", err)
		if problems := (config.Problems)(nil); errors.As(err, &problems) {
			for _, p := range problems {
				refused.Problems = append(refused.Problems, control.Problem(p))
			}
		}
		return control.ReloadAnswer{}, refused
	}
	now := b.Roster.Now().Config
	left, err := leftover.In(ctx, now, b.Store, b.Wall())
	if err != nil {
		return control.ReloadAnswer{}, control.Errorf(control.CodeUnavailable, "the configuration was read again; what is left in the store can't be read: %v", err)
	}
	return control.ReloadAnswer{
		PID: os.Getpid(), Config: now.File, Difference: d, Obstacles: b.Obstacles(ctx, now, d), FixedReferences: now.FixedReferences, Left: left,
	}, nil
}

func (c Config) differs(seen configfile.Seen) control.ConfigDifference {
	now := c.Roster.Now().Config
	return control.ConfigDifference{
		Now: c.Wall(), PID: os.Getpid(), StartedAt: c.Started, Config: now.File,
		Changed: seen.Changed, WrittenAt: seen.ChangedAt, Problems: problemsOf(seen.Err), Difference: seen.Difference,
		FixedReferences: now.FixedReferences,
	}
}

// problemsOf are those of a configuration, each in a line, or one of another kind.
func problemsOf(err error) (lines []string) {
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return []string{err.Error()}
	}
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	return lines
}

// addConfig says in a status how the file stands to what runs.
func (b overview) addConfig(st *control.Status) {
	seen := b.File.Glance()
	st.ConfigChanged, st.ConfigWrittenAt, st.ConfigDifference = seen.Changed, seen.ChangedAt, seen.Difference.String()
	if problems := problemsOf(seen.Err); len(problems) > 0 {
		st.ConfigProblem = problems[0]
	}
	if failed := b.File.Failure(); failed != nil {
		st.ConfigReloadFailedAt, st.ConfigReloadError = failed.At, failed.Why
	}
}

// unknown is the answer about a name that nothing here has: otherwise, unless the file
// has it by now.
func (c Config) unknown(what, name string, in func(difference.Difference) difference.Section, otherwise error) error {
	seen := c.File.Glance()
	if !slices.Contains(in(seen.Difference).Added, name) {
		return otherwise
	}
	return control.NotLoaded(what, name, c.differs(seen), c.Wall())
}

func accountsOf(d difference.Difference) difference.Section  { return d.Accounts }
func providersOf(d difference.Difference) difference.Section { return d.Providers }
func sinksOf(d difference.Difference) difference.Section     { return d.Sinks }
