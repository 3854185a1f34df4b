package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

func newEventsCommand(e *env) *cobra.Command {
	var since string
	var audit, noFollow bool
	cmd := &cobra.Command{
		Use:   "events [--since TIME] [--no-follow]",
		Short: "Follow what happens, until interrupted",
		Long: `Follow what happens, from now on until interrupted.

With --since it begins with what has happened since TIME, from the history in
the state directory, which survives restarts and is 4 MiB at most; with
--no-follow that is all, and no supervisor has to run. TIME is how long ago it
was, like 90m, 2h or 3d, or a time like 14:05 (the last one), "2026-11-21 14:05"
in the zone of this machine, or 2026-11-21T14:05:00Z.

With --json each event is one line of JSON. With --audit it also shows who asks
for a token over the control socket, or changes one; they count by themselves,
and who merely asks for one is in no history. A program that asks for a token at
each of these would call itself for ever.`,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := newEventsVerb(e, audit)
			if since == "" && noFollow {
				return usageErrorf("--no-follow shows what has happened: say since when, e.g. --since 2h")
			}
			if since != "" {
				at, err := before("--since", since, e.now())
				if err != nil {
					return err
				}
				v.since = &at
			}
			if noFollow {
				return v.showPast()
			}
			return v.follow(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&audit, "audit", false, "show who reads and changes tokens, too")
	cmd.Flags().StringVar(&since, "since", "", "begin with what has happened since this `time`")
	cmd.Flags().BoolVar(&noFollow, "no-follow", false, "end after what has happened")
	return cmd
}

// eventsVerb shows events, those of the past first.
type eventsVerb struct {
	*env
	audit bool
	since *time.Time // nil: from now on
	enc   *json.Encoder
	p     painter
	// last number seen of acts and of other events, and that of the past in this run, whose
	// events may come once more.
	last, upTo map[bool]uint64
	// pastEnds is when the newest event of the past came: a later one is another, whatever its
	// number, of a run whose begin is not in the history.
	pastEnds time.Time
	// day of the last line of the past.
	day string
}

func newEventsVerb(e *env, audit bool) *eventsVerb {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	return &eventsVerb{env: e, audit: audit, enc: enc, p: e.painter(), last: map[bool]uint64{}, upTo: map[bool]uint64{}}
}

func (v *eventsVerb) follow(ctx context.Context) error {
	ctx, stop := untilEnded(ctx)
	defer stop()
	c, err := v.client()
	if err != nil {
		return err
	}
	defer c.Close()
	follow := c.Events
	if v.audit {
		follow = c.EventsAudited
	}
	// The past is read when no later event can be missed, or nobody is there to be followed.
	var failed error
	read := v.since == nil
	past := func() {
		if !read {
			if read, failed = true, v.showPast(); failed != nil {
				stop()
			}
		}
	}
	err = follow(ctx, past, v.show)
	past()
	if failed != nil {
		return failed
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}

// showPast shows what the history has.
func (v *eventsVerb) showPast() error {
	past, err := v.past()
	if err != nil {
		return err
	}
	for _, l := range past.Lines {
		if l.Type == history.RunBegan {
			clear(v.upTo)
			v.pastEnds = time.Time{}
		}
		act := l.Type == event.Audit
		v.upTo[act] = max(v.upTo[act], l.Seq)
		if l.Time.After(v.pastEnds) {
			v.pastEnds = l.Time
		}
		if !l.Happened() || l.Time.Before(*v.since) || act && !v.audit {
			continue
		}
		if err := v.showThen(l.Event); err != nil {
			return err
		}
	}
	v.last[false] = v.upTo[false]
	return nil
}

func (v *eventsVerb) showThen(ev event.Event) error {
	if v.json {
		return v.enc.Encode(ev)
	}
	if day := ev.Time.In(v.now().Location()).Format(time.DateOnly); day != v.day {
		v.day = day
		if err := v.write(v.p.paint(dim, day) + "\n"); err != nil {
			return err
		}
	}
	return v.line(ev)
}

// show shows an event when it happens.
func (v *eventsVerb) show(ev event.Event) error {
	act := ev.Type == event.Audit
	if ev.Seq <= v.upTo[act] && !ev.Time.Truncate(time.Millisecond).After(v.pastEnds) { // as the history has it
		return nil
	}
	if v.json {
		return v.enc.Encode(ev)
	}
	if seen := v.last[act]; seen > 0 && ev.Seq > seen+1 {
		if err := v.write(v.p.paint(dim, fmt.Sprintf("… %d events were missed", ev.Seq-seen-1)) + "\n"); err != nil {
			return err
		}
	}
	v.last[act] = ev.Seq
	return v.line(ev)
}

func (v *eventsVerb) line(ev event.Event) error {
	return v.write(eventLine(ev, v.now().Location(), v.p, widthOf(v.stdout)) + "\n")
}
