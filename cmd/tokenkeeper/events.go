package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func newEventsCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "events",
		Short: "Follow what happens, until interrupted",
		Long: `Follow what happens, from now on until interrupted.

With --json each event is one line of JSON.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilEnded(cmd.Context())
			defer stop()
			c, err := e.client()
			if err != nil {
				return err
			}
			defer c.Close()
			enc := json.NewEncoder(e.stdout)
			enc.SetEscapeHTML(false)
			p, last := e.painter(), uint64(0)
			err = c.Events(ctx, nil, func(ev event.Event) error {
				if e.json {
					return enc.Encode(ev)
				}
				if last > 0 && ev.Seq > last+1 {
					if err := e.print("%s", p.paint(dim, fmt.Sprintf("… %d events were missed", ev.Seq-last-1))); err != nil {
						return err
					}
				}
				last = ev.Seq
				return e.print("%s", eventLine(ev, e.now().Location(), p))
			})
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil
			}
			return err
		},
	}
}
