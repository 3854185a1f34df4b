package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// exitDiffers is diff's where something differs, as diff(1) has it. What can't be told
// is exitUsage there.
const exitDiffers = 1

func newDiffCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "diff",
		Short: "Show what the configuration's file says otherwise than what runs",
		Long: `Show what the configuration's file says otherwise than what the running
supervisor goes on with: what a reload, or its next start, will change.
The supervisor itself reads the file, with the environment that it has. Secrets
are compared too, also those in other files, and are not shown.

Exit codes: 0 nothing differs, 1 something does, 2 it can't be told, because no
supervisor answers, it runs with another file than that of -c, or a start with
the file would fail.`,
		Example: "  tokenkeeper diff || tokenkeeper check",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return &exitError{exitUsage, err}
			}
			defer c.Close()
			if err := e.isItsFile(cmd.Context(), c); err != nil {
				return err
			}
			d, err := e.sayDifference(cmd.Context(), c)
			switch {
			case err != nil:
				return &exitError{exitUsage, err}
			case len(d.Problems) > 0:
				return &exitError{exitUsage, errSaid}
			case d.Changed:
				return &exitError{exitDiffers, errSaid}
			}
			return nil
		},
	}
}

// isItsFile refuses to speak of the configuration that the command names, or finds, if the
// supervisor runs with another file: it reads that one alone.
func (e *env) isItsFile(ctx context.Context, c *control.Client) error {
	if e.socket != "" && e.configFile == "" { // whatever it runs with is meant
		return nil
	}
	named, err := e.configPath()
	if err != nil {
		return err
	}
	s, err := c.Status(ctx)
	if err != nil || s.Config == "" { // the call that follows says what is wrong
		return nil
	}
	its := s.Config
	if !filepath.IsAbs(its) {
		its = filepath.Join(fmt.Sprintf("/proc/%d/cwd", s.PID), its)
	}
	one, cantSee := os.Stat(its)
	other, err := os.Stat(named)
	switch absolute, _ := filepath.Abs(named); {
	case absolute == s.Config, cantSee == nil && err == nil && os.SameFile(one, other):
		return nil
	case cantSee != nil:
		e.warn("the supervisor (PID %d) runs with %s, which can't be seen from here: it reads that file, whatever %s says", s.PID, s.Config, named)
		return nil
	}
	return usageErrorf("the supervisor (PID %d) runs with %s, and reads that file alone. What %s would change can't be shown; whether it can be used says: tokenkeeper check -c %[3]s",
		s.PID, s.Config, named)
}

// sayDifference shows what the file says otherwise than what runs.
func (e *env) sayDifference(ctx context.Context, c *control.Client) (control.ConfigDifference, error) {
	d, err := c.ConfigDifference(ctx)
	if err != nil {
		return d, err
	}
	if e.json {
		return d, e.printJSON(d)
	}
	return d, e.write(renderDifference(d, e.now(), e.painter(), e.tableWidth()))
}

// renderDifference is a difference as a person reads it.
func renderDifference(d control.ConfigDifference, now time.Time, p painter, width int) string {
	var b strings.Builder
	most := proseIn(width)
	say := func(s style, format string, args ...any) {
		writeBroken(&b, p, cell{fmt.Sprintf(format, args...), s}, "", "  ", most)
	}
	runs := fmt.Sprintf("the supervisor (PID %d, started %s)", d.PID, moment.Relative(d.StartedAt, now))
	written := ""
	if !d.WrittenAt.IsZero() {
		written = ", written " + moment.Text(d.WrittenAt, now, false) + ","
	}
	switch {
	case len(d.Problems) > 0:
		say(red, "%s%s can't be used: a start with it would fail. Until then %s goes on with what it has", d.Config, written, runs)
		for _, problem := range d.Problems {
			say(plain, "%s", problem)
		}
	case !d.Changed:
		say(plain, "%s says what %s runs with", d.Config, runs)
	default:
		say(plain, "%s%s says otherwise than what %s runs with:", d.Config, written, runs)
		b.WriteByte('\n')
		differenceTable(d, now, width).render(&b, p, 2, 3)
		sayObstacles(&b, p, d.Obstacles, width)
		b.WriteByte('\n')
		if len(d.Fixed) > 0 {
			say(plain, "%s can't change while it runs. To use it: tokenkeeper check, then stop the supervisor and start it again (systemctl restart tokenkeeper)",
				strings.Join(d.Fixed, ", "))
		} else {
			say(plain, "To use it: %s", control.ToUse)
		}
	}
	if len(d.Problems) == 0 {
		sayFixed(&b, p, d.FixedReferences, width)
	}
	return b.String()
}

func differenceTable(d control.ConfigDifference, now time.Time, width int) table {
	t := table{head: []string{"CHANGE", "WHAT", "NAME", "KEYS"}, width: width}
	for _, of := range []struct {
		what string
		difference.Section
	}{{"account", d.Accounts}, {"provider", d.Providers}, {"sink", d.Sinks}} {
		for _, name := range of.Added {
			t.rows = append(t.rows, row{cells: []cell{{"new", green}, {of.what, plain}, {name, plain}, {}}})
		}
		for _, name := range of.Removed {
			r := row{cells: []cell{{"gone", red}, {of.what, plain}, {name, plain}, {}}}
			if of.what == "account" {
				r.notes = leftNotes(d.Left, name, now)
			}
			t.rows = append(t.rows, r)
		}
		for _, c := range of.Changed {
			t.rows = append(t.rows, row{cells: []cell{{"changed", yellow}, {of.what, plain}, {c.Name, plain}, {strings.Join(c.Keys, ", "), plain}}})
		}
	}
	if keys := slices.Concat(d.Fixed, d.Keys); len(keys) > 0 {
		t.rows = append(t.rows, row{cells: []cell{{"changed", yellow}, {moment.Never, plain}, {moment.Never, plain}, {strings.Join(keys, ", "), plain}}})
	}
	return t
}

// leftNotes say how long the login of an account lives that is not refreshed any more.
func leftNotes(all []control.LeftLogin, account string, now time.Time) []cell {
	at := slices.IndexFunc(all, func(l control.LeftLogin) bool { return l.Account == account })
	if at < 0 {
		return nil
	}
	l := all[at]
	until := func(t time.Time, uncertain bool) string {
		if t.IsZero() {
			return "until nobody knows when"
		}
		return "until " + moment.Text(t, now, uncertain)
	}
	text := "from then on nobody refreshes it: its access token lives " + until(l.Expiry, false)
	switch l.Way {
	case "":
		text = "it has no token"
	case control.WayMint:
		text = "from then on nobody mints its tokens: the last one lives " + until(l.Expiry, false)
	default:
		text += ", its login " + until(l.RefreshExpiry, l.RefreshExpiryUncertain)
	}
	return []cell{{text, plain}}
}

// unknownAccount is why a status has none of that name: perhaps only the file has it.
func unknownAccount(err error, d control.ConfigDifference, account string, now time.Time) error {
	refused := (*control.Error)(nil)
	if errors.As(err, &refused) && slices.Contains(d.Accounts.Added, account) {
		return control.NotLoaded("account", account, d, now)
	}
	return err
}
