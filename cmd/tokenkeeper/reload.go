package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func newReloadCommand(e *env) *cobra.Command {
	var dry bool
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the supervisor go on with what its configuration says by now",
		Long: `Have the running supervisor read its configuration again, with all files that it
refers to, and go on with it: all of it or, if anything is wrong, nothing.

Only what differs moves. A provider of whose accounts something differs begins
anew when what it has sent is answered, and its process goes on; where something
of the provider itself differs, that begins anew, too. So does a sink, which
misses no token and gets none twice. What stands in the way of one that has come
or changed, such as a missing folder, is named. What ${env:…} refers to can't
be read again, nor what systemd has given the service, and is named: for those,
and for state_dir, fallback_dir, machine_guard, control and log, restart the
service.

With --dry-run nothing changes, and what would is shown. SIGHUP does the same
as this command, and says in the log what has come of it. So does a write to
one of those files where the configuration says reload: watch, unless it would
take an account away, or half of the sinks.`,
		Example: "  tokenkeeper reload --dry-run\n  tokenkeeper reload",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			if err := e.isItsFile(cmd.Context(), c); err != nil {
				return err
			}
			if dry {
				d, err := e.sayDifference(cmd.Context(), c)
				if err == nil && len(d.Problems) > 0 {
					err = errSaid
				}
				return err
			}
			got, err := c.Reload(cmd.Context())
			if err != nil {
				return err
			}
			if e.json {
				return e.printJSON(got)
			}
			return e.write(renderReload(got, e.now(), e.painter(), e.tableWidth()))
		},
	}
	cmd.Flags().BoolVar(&dry, "dry-run", false, "change nothing, and show what would change")
	return cmd
}

// renderReload is what has changed as a person reads it.
func renderReload(a control.ReloadAnswer, now time.Time, p painter, width int) string {
	var b strings.Builder
	runs := fmt.Sprintf("the supervisor (PID %d)", a.PID)
	if a.Difference.IsZero() {
		writeBroken(&b, p, cell{fmt.Sprintf("%s says what %s runs with: nothing was changed", a.Config, runs), plain}, "", "  ", proseIn(width))
		sayFixed(&b, p, a.FixedReferences, width)
		return b.String()
	}
	writeBroken(&b, p, cell{fmt.Sprintf("%s goes on with %s:", runs, a.Config), plain}, "", "  ", proseIn(width))
	b.WriteByte('\n')
	differenceTable(control.ConfigDifference{Difference: a.Difference}, now, width).render(&b, p, 2, 3)
	sayObstacles(&b, p, a.Obstacles, width)
	if len(a.FixedReferences) > 0 {
		b.WriteByte('\n')
	}
	sayFixed(&b, p, a.FixedReferences, width)
	for i, line := range control.LeftLines(a.Left, now) {
		if i == 0 {
			b.WriteByte('\n')
		}
		writeBroken(&b, p, cell{line, yellow}, "", "  ", proseIn(width))
	}
	return b.String()
}

// sayObstacles names what tokens will not get past.
func sayObstacles(b *strings.Builder, p painter, obstacles []string, width int) {
	for i, o := range obstacles {
		if i == 0 {
			b.WriteByte('\n')
		}
		writeBroken(b, p, cell{o, yellow}, "", "  ", proseIn(width))
	}
}

// sayFixed names what reading the configuration again did not read again.
func sayFixed(b *strings.Builder, p painter, references []string, width int) {
	const few = 8
	if len(references) == 0 {
		return
	}
	said := strings.Join(references[:min(few, len(references))], ", ")
	if more := len(references) - few; more > 0 {
		said += fmt.Sprintf(" and %d more", more)
	}
	writeBroken(b, p, cell{"Not read again, as a process is given them once, at its start: " + said +
		". For a new value of those restart the service", plain}, "", "  ", proseIn(width))
}
