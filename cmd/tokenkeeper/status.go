package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

func newStatusCommand(e *env) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [--watch]",
		Short: "Show every account, sink and provider",
		Long: `Show every account, sink and provider.

A time marked with ~ is uncertain. LAST is when the token was refreshed, NEXT
when it will be. BEHIND is how many versions a sink lacks.
With --watch the table is redrawn every second on a terminal; elsewhere it is
printed again when something has changed, with --json as one line each.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case watch:
				return e.watch(cmd.Context(), c, s)
			case e.json:
				return e.printJSON(s)
			default:
				return e.write(renderStatus(s, e.now(), e.painter(), e.width()))
			}
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "go on until interrupted")
	return cmd
}

func (e *env) write(text string) error {
	_, err := e.stdout.Write([]byte(text))
	return err
}

// watch shows s and what follows it until ctx ends or the user interrupts. It
// outlives the supervisor, so that a restart of it can be watched.
func (e *env) watch(ctx context.Context, c *control.Client, s control.Status) error {
	ctx, stop := untilEnded(ctx)
	defer stop()
	show := e.showChanges()
	if isTerminal(e.stdout) && !e.json {
		defer func() { _ = e.write(showCursor) }()
		show = e.redraw
	}
	tick := time.NewTicker(e.watchEvery)
	defer tick.Stop()
	var err error
	for {
		if err := show(s, err); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if s, err = c.Status(ctx); ctx.Err() != nil {
			return nil
		}
	}
}

// Terminal control (ECMA-48, and DECTCEM for the cursor).
const (
	home       = "\x1b[?25l\x1b[H"
	eraseLine  = "\x1b[K\n"
	eraseBelow = "\x1b[J"
	showCursor = "\x1b[?25h"
)

// redraw shows the table, or what failed, in place of what the terminal shows.
// Lines are overwritten and not cleared first, so that nothing flickers.
func (e *env) redraw(s control.Status, failed error) error {
	text := ""
	if failed != nil {
		text = failed.Error() + "\n"
	} else {
		text = renderStatus(s, e.now(), e.painter(), e.width())
	}
	return e.write(home + strings.ReplaceAll(fit(text, e.height()), "\n", eraseLine) + eraseBelow)
}

// fit cuts text down to a screen of that many lines, 0 for any: more would
// scroll it.
func fit(text string, height int) string {
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	if room := height - 2; height > 2 && len(lines) > height-1 {
		return strings.Join(lines[:room], "") + fmt.Sprintf("… %d more lines\n", len(lines)-room)
	}
	return text
}

// showChanges returns a func that prints a status if it says something new.
func (e *env) showChanges() func(control.Status, error) error {
	var last []byte
	return func(s control.Status, failed error) error {
		seen := s
		seen.Now = time.Time{}
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
			return e.write(renderStatus(s, e.now(), e.painter(), e.width()))
		default:
			return e.write("\n" + renderStatus(s, e.now(), e.painter(), e.width()))
		}
	}
}
