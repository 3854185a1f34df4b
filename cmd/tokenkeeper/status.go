package main

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func newStatusCommand(e *env) *cobra.Command {
	var watch, check bool
	cmd := &cobra.Command{
		Use:   "status [ACCOUNT] [--watch | --check]",
		Short: "Show every account, sink and provider, or one account",
		Long: `Show every account, sink and provider, or of one account what there is: itself,
what each sink has of it, its provider, and its outage budget: for how long its
consumers go on if no token comes any more from now on.

A time marked with ~ is uncertain. LAST is when the token was refreshed, NEXT
when it will be. BEHIND is how many versions a sink lacks.
With --watch the table is redrawn every second on a terminal; elsewhere it is
printed again when something has changed, with --json as one line each.
With --check one line is printed for a monitoring system, and the exit code is
that of a Nagios plugin: 0 all is well, 1 somebody should look, 2 an account has
no valid token, or no supervisor answers.`,
		Example: "  tokenkeeper status\n  tokenkeeper status schwab-main --watch",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs("ACCOUNT")(cmd, args)
		},
		ValidArgsFunction: e.completes(accountNames),
		RunE: func(cmd *cobra.Command, args []string) error {
			if check && watch {
				return usageErrorf("--check and --watch exclude each other")
			}
			c, err := e.client()
			if err != nil && check {
				return e.checkStatus(control.Status{}, err)
			}
			if err != nil {
				return err
			}
			defer c.Close()
			look := func(ctx context.Context) (control.Status, error) {
				s, err := c.Status(ctx)
				if err != nil || len(args) == 0 {
					return s, err
				}
				one, err := onlyOf(s, args[0])
				if err != nil && s.ConfigChanged {
					d, _ := c.ConfigDifference(ctx) // of an error nothing has been added
					err = unknownAccount(err, d, args[0], e.now())
				}
				return one, err
			}
			s, err := look(cmd.Context())
			switch {
			case check:
				return e.checkStatus(s, err)
			case err != nil:
				return err
			case watch:
				return watching{e}.watch(cmd.Context(), look, s)
			case e.json:
				return e.printJSON(s)
			default:
				return e.write(renderStatus(s, e.now(), e.painter(), e.tableWidth()))
			}
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	cmd.Flags().BoolVar(&check, "check", false, "print one line, and exit as monitoring plugins do")
	return cmd
}

// onlyOf is what a status says of one account: its provider, and the alerts about
// either or about what is nobody's own.
func onlyOf(s control.Status, account string) (control.Status, error) {
	at := slices.IndexFunc(s.Accounts, func(a control.Account) bool { return a.Name == account })
	if at < 0 {
		if left := slices.IndexFunc(s.Left, func(l control.ListedAccount) bool { return l.Name == account }); left >= 0 {
			what, todo := s.Left[left].LeftText(s.Now)
			return control.Status{}, control.Errorf(control.CodeNotFound, "%s; %s", what, todo)
		}
		var names []string
		for _, a := range s.Accounts {
			names = append(names, a.Name)
		}
		return control.Status{}, control.Errorf(control.CodeNotFound, "no account is named %q%s", account, control.Hint(account, names, "status"))
	}
	a := s.Accounts[at]
	s.Accounts = []control.Account{a}
	s.Left = slices.DeleteFunc(slices.Clone(s.Left), func(l control.ListedAccount) bool { return !slices.Contains(l.MayBe, account) })
	sinks := map[string]bool{}
	for _, d := range a.Sinks {
		sinks[d.Sink] = true
	}
	s.Providers = slices.DeleteFunc(slices.Clone(s.Providers), func(p control.Provider) bool { return p.Name != a.Provider })
	s.Alerts = slices.DeleteFunc(slices.Clone(s.Alerts), func(alert event.Alert) bool {
		return alert.Account != "" && alert.Account != account || alert.Provider != "" && alert.Provider != a.Provider || alert.Sink != "" && !sinks[alert.Sink]
	})
	return s, nil
}

func (e *streams) write(text string) error {
	_, err := e.stdout.Write([]byte(text))
	return err
}

// watching is a status that is shown anew whenever it is another one.
type watching struct{ *env }

// watch shows s and what follows it until ctx ends or the user interrupts. It
// outlives the supervisor, so that a restart of it can be watched.
func (e watching) watch(ctx context.Context, look func(context.Context) (control.Status, error), s control.Status) (err error) {
	ctx, stop := untilEnded(ctx)
	defer stop()
	show := e.showChanges()
	shown := &screen{}
	if isTerminal(e.stdout) && !e.json {
		if ctx, shown, err = e.openScreen(ctx); err != nil {
			return err
		}
		defer func() { // what was seen last stays
			shown.close()
			_ = e.write(e.picture(s, nil))
		}()
		show = e.redraw
	}
	tick := time.NewTicker(e.watchEvery)
	defer tick.Stop()
	newest := s
	for {
		if err := show(newest, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-shown.resized:
		case <-shown.suspended:
			if err := shown.suspend(); err != nil {
				return err
			}
		case <-tick.C:
		}
		if newest, err = look(ctx); ctx.Err() != nil {
			return nil
		}
		if err == nil {
			s = newest
		}
	}
}

// redraw shows the table, or what failed, in place of what the terminal shows.
func (e watching) redraw(s control.Status, failed error) error { return e.draw(e.picture(s, failed)) }

// picture is the table, or what failed.
func (e watching) picture(s control.Status, failed error) string {
	if failed != nil {
		return breakProse(failed.Error(), widthOf(e.stdout)) + "\n"
	}
	return renderStatus(s, e.now(), e.painter(), e.tableWidth())
}

// steady is a status without what changes with each second.
func steady(s control.Status) control.Status {
	s.Now = time.Time{}
	s.Accounts = slices.Clone(s.Accounts)
	for n, a := range s.Accounts {
		if a.Outage != nil {
			o := *a.Outage
			o.Left, o.Worst = 0, 0
			s.Accounts[n].Outage = &o
		}
	}
	return s
}

// showChanges returns a func that prints a status if it says something new.
func (e watching) showChanges() func(control.Status, error) error {
	var last []byte
	return func(s control.Status, failed error) error {
		seen := steady(s)
		line, err := json.Marshal(seen)
		if failed != nil {
			line, err = json.Marshal(map[string]failure{"error": newFailure(0, failed)})
		}
		if err != nil || bytes.Equal(line, last) {
			return err
		}
		first := last == nil
		last = line
		switch {
		case e.json && failed != nil:
			return e.write(string(line) + "\n")
		case e.json:
			line, err := json.Marshal(control.InUTC(s))
			if err != nil {
				return err
			}
			return e.write(string(line) + "\n")
		case failed != nil:
			return e.print("\n%v", failed)
		case first:
			return e.write(e.picture(s, nil))
		default:
			return e.write("\n" + e.picture(s, nil))
		}
	}
}
