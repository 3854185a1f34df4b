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
				got.Alerts = slices.DeleteFunc(got.Alerts, over)
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

func over(a event.Alert) bool { return a.State == event.AlertRecovered }

func alertTable(alerts []event.Alert, now time.Time) table {
	t := table{head: []string{"ALERT", "ABOUT", "SINCE", "STATE"}, width: narrow}
	for _, a := range alerts {
		look, state := red, "open"
		notes := []cell{{a.Message, plain}}
		switch {
		case over(a):
			look, state = green, "over "+moment.Relative(a.ChangedAt, now)
		case a.Hush == nil:
		case a.Hush.Until.IsZero():
			look, state = yellow, "acknowledged"
		default:
			look, state = yellow, "silenced"
			notes = append(notes, cell{"silenced until " + moment.Text(a.Hush.Until, now, false), plain})
		}
		t.rows = append(t.rows, row{
			cells: []cell{{a.Key, look}, {orNever(concerns(a)), plain}, {moment.Text(a.Since, now, false), plain}, {state, look}},
			notes: notes,
		})
	}
	return t
}

func words(t event.Type) string { return strings.ReplaceAll(string(t), "_", " ") }

// concerns is what an alert is about; "" if that is everything.
func concerns(a event.Alert) string {
	if a.Accounts > 1 {
		return fmt.Sprintf("%s (%d)", a.Provider, a.Accounts)
	}
	for _, name := range []string{a.Account, a.Provider, a.Sink} {
		if name != "" {
			return name
		}
	}
	return ""
}

// alertLine is the alerts that last in one line of width, "" if there are none.
func alertLine(alerts []event.Alert, width int) string {
	alerts = slices.DeleteFunc(slices.Clone(alerts), over)
	if len(alerts) == 0 {
		return ""
	}
	slices.SortStableFunc(alerts, func(a, b event.Alert) int { return ahead(a) - ahead(b) })
	line := counted(len(alerts), "alert", "alerts")
	const hint = `; see "tokenkeeper alerts"`
	for i, a := range alerts {
		part := ", "
		if i == 0 {
			part = ": "
		}
		part += strings.TrimSpace(words(a.Type) + " " + concerns(a))
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

// ahead sorts the alerts of the one line: first what only a person can mend, last
// what is only to come.
func ahead(a event.Alert) int {
	switch a.Type {
	case event.NeedsLogin:
		return 0
	case event.LoginDueSoon, event.LoginUnknown:
		return 2
	}
	return 1
}
