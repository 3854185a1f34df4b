package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func newEventsCommand(e *env) *cobra.Command {
	var audit bool
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Follow what happens, until interrupted",
		Long: `Follow what happens, from now on until interrupted.

With --json each event is one line of JSON. With --audit it also shows who asks
for a token over the control socket, or changes one; they count by themselves.
A program that asks for a token at each of these would call itself for ever.`,
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
			p, last := e.painter(), map[bool]uint64{}
			follow := c.Events
			if audit {
				follow = c.EventsAudited
			}
			err = follow(ctx, nil, func(ev event.Event) error {
				if e.json {
					return enc.Encode(ev)
				}
				act := ev.Type == event.Audit
				if seen := last[act]; seen > 0 && ev.Seq > seen+1 {
					if err := e.write(p.paint(dim, fmt.Sprintf("… %d events were missed", ev.Seq-seen-1)) + "\n"); err != nil {
						return err
					}
				}
				last[act] = ev.Seq
				return e.write(eventLine(ev, e.now().Location(), p, widthOf(e.stdout)) + "\n")
			})
			if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&audit, "audit", false, "show who reads and changes tokens, too")
	return cmd
}
