package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func newEventsCommand(e *env) *cobra.Command {
	var since string
	var audit, noFollow bool
	cmd := &cobra.Command{
		Use:   "events [--since TIME] [--no-follow]",
		Short: "Follow what happens, until interrupted",
		Long: `Follow what happens, from now on until interrupted.

With --since it begins with what has happened since TIME, from the history in
the state directory, which survives restarts and has the last days; if its
oldest part is gone by then, standard error says where it begins. With
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
				return v.onlyPast(cmd.Context())
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
	// account that it is about; "": any, and all that is nobody's own.
	account string
	since   *time.Time // nil: from now on
	enc     *json.Encoder
	p       painter
	// last number seen of acts and of other events, and that of the past in this run, whose
	// events may come once more.
	last, upTo map[bool]uint64
	// pastEnds is when the newest event of the past came: a later one is another, whatever its
	// number, of a run whose begin is not in the history.
	pastEnds time.Time
	// day of the last line of the past; "": none was shown.
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
			if read, failed = true, v.showPast(ctx); failed != nil {
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

// onlyPast shows what the history has, or says that it has nothing.
func (v *eventsVerb) onlyPast(ctx context.Context) error {
	err := v.showPast(ctx)
	if err != nil || v.json || v.day != "" {
		return err
	}
	to := ""
	if v.account != "" {
		to = " to account " + v.account
	}
	return prose(v.stderr, "tokenkeeper: nothing has happened%s since %s", to, moment.Text(*v.since, v.now(), false))
}

// showPast shows what the history has.
func (v *eventsVerb) showPast(ctx context.Context) error {
	of := historian{v.env}
	var past history.Past
	var err error
	if v.account == "" { // of many accounts that is much
		past, err = of.walk(ctx, func(l history.Line) bool { return !l.Time.Before(*v.since) }, v.pastLine)
	} else if past, err = of.past(ctx, func(l history.Line) bool { return l.Account == v.account }); err == nil {
		err = of.isKnown(ctx, v.account, past)
	}
	for i := 0; err == nil && i < len(past.Lines); i++ {
		err = v.pastLine(past.Lines[i])
	}
	if err != nil {
		return err
	}
	v.last[false] = v.upTo[false]
	if past.Gone && past.From.After(*v.since) {
		v.warn("the history begins at %s; what was before that is gone from it, and may be in the log", moment.Text(past.From, v.now(), false))
	}
	if since := of.observed(ctx); !since.IsZero() {
		v.warn("since %s one runs that only observes and keeps no history, so what it has seen is missing here; how things stand is in: tokenkeeper status",
			moment.Text(since, v.now(), false))
	}
	return nil
}

// pastLine shows a line of the history, if it is about what is asked for.
func (v *eventsVerb) pastLine(l history.Line) error {
	if l.Type == history.RunBegan {
		clear(v.upTo)
		v.pastEnds = time.Time{}
	}
	act := l.Type == event.Audit
	v.upTo[act] = max(v.upTo[act], l.Seq)
	if l.Time.After(v.pastEnds) {
		v.pastEnds = l.Time
	}
	if !l.Happened() || l.Time.Before(*v.since) || act && !v.audit || !v.wants(l.Event) {
		return nil
	}
	return v.showThen(l.Event)
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
		if !v.wants(ev) {
			return nil
		}
		return v.enc.Encode(ev)
	}
	if seen := v.last[act]; seen > 0 && ev.Seq > seen+1 {
		if err := v.write(v.p.paint(dim, fmt.Sprintf("… %d events were missed", ev.Seq-seen-1)) + "\n"); err != nil {
			return err
		}
	}
	v.last[act] = ev.Seq
	if !v.wants(ev) {
		return nil
	}
	return v.line(ev)
}

// wants says whether an event is about the account that is asked for, if one is: its own, and
// an alert of several that names it.
func (v *eventsVerb) wants(ev event.Event) bool {
	return v.account == "" || ev.Account == v.account || ev.From == v.account ||
		ev.Alert && ev.Account == "" && ev.Sink == "" && explain.Names(ev.Message, v.account)
}

func (v *eventsVerb) line(ev event.Event) error {
	return v.write(eventLine(ev, v.now().Location(), v.p, widthOf(v.stdout)) + "\n")
}
