package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

func newAlertsCommand(e *env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "alerts [--all]",
		Short: "Show the alerts that last; acknowledge or silence one",
		Long: `Show the alerts that last: each trouble that needs somebody, since when, and
what to do. With --all also those that are over since lately.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return unknownSubcommand(cmd, args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			got, err := c.Alerts(cmd.Context())
			if err != nil {
				return err
			}
			if !all {
				got.Alerts = slices.DeleteFunc(got.Alerts, event.Alert.Over)
			}
			switch {
			case e.json:
				return e.printJSON(got)
			case len(got.Alerts) == 0:
				return e.print("there are no alerts")
			}
			var b strings.Builder
			alertTable(got.Alerts, e.now()).within(e.tableWidth()).render(&b, e.painter(), 0, 1)
			return e.write(b.String())
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that are over")
	cmd.AddCommand(newAlertAckCommand(e), newAlertSilenceCommand(e), newAlertResumeCommand(e))
	for _, c := range cmd.Commands() {
		c.DisableFlagsInUseLine = true
	}
	return cmd
}

func alertTable(alerts []event.Alert, now time.Time) table {
	t := table{head: []string{"ALERT", "ABOUT", "SINCE", "STATE"}, width: narrow}
	for _, a := range alerts {
		look, state := red, "open"
		notes := []cell{{a.Message, plain}}
		switch {
		case a.Over():
			look, state = green, "over "+moment.Relative(a.ChangedAt, now)
		case a.Hush == nil:
		case a.Hush.Until.IsZero():
			look, state = yellow, "acknowledged"
		default:
			look, state = yellow, "silenced"
			notes = append(notes, cell{"silenced until " + moment.Text(a.Hush.Until, now, false), plain})
		}
		t.rows = append(t.rows, row{
			cells: []cell{{a.Key, look}, {orNever(a.Concerns()), plain}, {moment.Text(a.Since, now, false), plain}, {state, look}},
			notes: notes,
		})
	}
	return t
}

// alertLine is the alerts that last in one line of width, "" if there are none.
func alertLine(alerts []event.Alert, width int) string {
	alerts = verdict.Urgent(slices.DeleteFunc(slices.Clone(alerts), event.Alert.Over))
	if len(alerts) == 0 {
		return ""
	}
	line := counted(len(alerts), "alert", "alerts")
	const hint = `; see "tokenkeeper alerts"`
	for i, a := range alerts {
		part := ", "
		if i == 0 {
			part = ": "
		}
		part += strings.TrimSpace(a.Type.Words() + " " + a.Concerns())
		rest := ""
		if left := len(alerts) - i - 1; left > 0 {
			rest = fmt.Sprintf(", … %d more", left)
		}
		if i > 0 && utf8.RuneCountInString(line+part+rest+hint) > width {
			return line + fmt.Sprintf(", … %d more", len(alerts)-i) + hint
		}
		line += part
	}
	return line + hint
}
