package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func newDemoCommand(e *env) *cobra.Command {
	var howLong time.Duration
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch it work, with simulated brokers on this machine",
		Long: `Watch Tokenkeeper work. It starts simulated Schwab and Saxo authorization
servers on loopback, whose tokens live for seconds, and the real thing beside
them: the supervisor, both providers as processes of their own, a file sink, a
Unix-socket sink with a consumer that answers OK, and a webhook sink with a
receiver that checks the signature.

Nothing outside this machine is asked, and all files go at the end. On a
terminal q ends it, and so does Ctrl-C. With --for it runs that long without a
terminal.

Exit code: 1 if an account was not refreshed or not delivered to every sink
before the time was over or q was pressed: the first refresh takes about eight
seconds.`,
		Example: "  tokenkeeper demo\n  tokenkeeper demo --for 20s",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilEnded(cmd.Context())
			defer stop()
			return demonstration{e}.demo(ctx, howLong)
		},
	}
	cmd.Flags().DurationVar(&howLong, "for", 0, "run this long, print events and a verdict, and need no terminal")
	return cmd
}

// demonstration is the demo, as it is shown.
type demonstration struct{ *env }

func (e demonstration) demo(ctx context.Context, howLong time.Duration) (err error) {
	if howLong < 0 {
		return usageErrorf("--for %s: give a time to run, such as 20s", howLong)
	}
	if !e.json { // before what takes its time
		if err := e.print("Starting two simulated brokers, the supervisor and two providers …"); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "tokenkeeper-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w, err := newDemoWorld(dir)
	if err != nil {
		return err
	}
	defer w.close()

	logFile, err := os.OpenFile(filepath.Join(dir, "demo.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }()
	cfg, err := e.loadFrom(alone(e.source(w.config)))
	if err != nil {
		return err
	}
	log, _, err := newLogger(cfg.Log, logFile)
	if err != nil {
		return err
	}
	// Who interrupts ends what is shown; the supervisor goes on until it was asked how
	// things are.
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	s, err := newSupervisor(running, supervisor.Options{Config: cfg, Log: log})
	if err != nil {
		return err
	}
	events := s.Events().Subscribe(256)
	defer events.Close()

	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	client := control.NewClient(cfg.Control.Socket)
	defer client.Close()
	if err := w.logIn(running, client); err != nil {
		end()
		return errors.Join(err, <-ended)
	}
	shown := e.showDemo(ctx, w, client, events, howLong)
	st, statusErr := whenDelivered(running, client, events)
	end()
	if err := errors.Join(shown, <-ended, statusErr); err != nil {
		return err
	}
	return e.demoVerdict(w, st, endOf(ctx, howLong))
}

// demoEnd is why a demo has ended.
type demoEnd int

const (
	demoOver        demoEnd = iota // the time that it was given
	demoQuit                       // by the key for it
	demoInterrupted                // by Ctrl-C or a signal, whenever that comes
)

func endOf(ctx context.Context, howLong time.Duration) demoEnd {
	switch {
	case howLong > 0:
		return demoOver
	case ctx.Err() != nil:
		return demoInterrupted
	}
	return demoQuit
}

// showDemo shows what happens until the user has seen enough.
func (e demonstration) showDemo(ctx context.Context, w *demoWorld, c *control.Client, events *event.Subscription, howLong time.Duration) error {
	in, isFile := e.stdin.(*os.File)
	if howLong == 0 && isFile && isTerminal(e.stdout) && isTerminal(in) {
		return e.demoScreen(ctx, in, w, c, events)
	}
	if !e.json {
		if err := e.print("Simulated brokers, real supervisor. From another terminal:\n  %s\n", w.restartHint(c)); err != nil {
			return err
		}
	}
	var over <-chan time.Time
	if howLong > 0 {
		over = time.After(howLong)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-over:
			return nil
		case ev := <-events.C:
			if e.json {
				continue // the verdict is the one document
			}
			if err := e.write(eventLine(ev, time.Local, e.painter(), unbroken) + "\n"); err != nil {
				return err
			}
		}
	}
}

// whenDelivered is how everything is when what was refreshed is delivered, for which is waited
// for a moment: the end may come in the middle of deliveries.
func whenDelivered(ctx context.Context, c *control.Client, events *event.Subscription) (control.Status, error) {
	enough := time.After(3 * time.Second)
	for {
		st, err := c.Status(ctx)
		if err != nil || everywhere(st) {
			return st, err
		}
		select {
		case <-events.C:
		case <-enough:
			return st, nil
		}
	}
}

// everywhere says whether each sink has the newest token of each of its accounts.
func everywhere(st control.Status) bool {
	for _, a := range st.Accounts {
		for _, d := range a.Sinks {
			if d.Behind > 0 {
				return false
			}
		}
	}
	return true
}

// demoVerdict says how it went; it is an error if an account was not refreshed
// or a sink lacks a refreshed token, unless somebody has broken it off.
func (e demonstration) demoVerdict(w *demoWorld, st control.Status, end demoEnd) error {
	verdict := demoResult{OK: true, Accounts: st.Accounts, Received: w.received(), early: end != demoOver}
	for _, a := range st.Accounts {
		if a.Version < 2 {
			verdict.fail("account %s was not refreshed (state %s, %s)", a.Name, a.State, orNever(a.LastError))
		}
		for _, d := range a.Sinks {
			if d.Version < 2 {
				verdict.fail("sink %s has no refreshed token of account %s (%s)", d.Sink, a.Name, orNever(d.LastError))
			}
		}
	}
	for _, r := range w.reused() {
		verdict.fail("a refresh token was used twice: %s", r)
		verdict.early, end = false, demoOver // no time mends it
	}
	if e.json {
		if err := e.printJSON(verdict); err != nil {
			return err
		}
	} else if err := verdict.print(e.stdout); err != nil {
		return err
	}
	if end != demoInterrupted && !verdict.OK {
		return &exitError{exitFailure, errSaid}
	}
	return nil
}

// demoResult is what the demo came to.
type demoResult struct {
	OK       bool              `json:"ok"`
	Problems []string          `json:"problems,omitempty"`
	Accounts []control.Account `json:"accounts"`
	// Received counts the tokens that each consumer got.
	Received map[string]int `json:"received"`

	early bool // a person has ended it
}

func (r *demoResult) fail(format string, args ...any) {
	r.OK = false
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *demoResult) print(w io.Writer) error {
	lines := []string{""}
	for _, a := range r.Accounts {
		line := fmt.Sprintf("%-12s refreshed %s; newest version delivered:", a.Name, counted(max(int(a.Version)-1, 0), "time", "times"))
		for _, d := range a.Sinks {
			line += fmt.Sprintf(" %s v%d", d.Sink, d.Version)
		}
		lines = append(lines, line)
	}
	lead := "PROBLEM:"
	if r.early {
		lead = "not yet:"
	}
	for _, p := range r.Problems {
		lines = append(lines, lead+" "+p)
	}
	switch {
	case r.OK:
		lines = append(lines, "Every account was refreshed and delivered to every sink.")
	case r.early:
		lines = append(lines, "It was ended before everything was refreshed and delivered: the first refresh takes about eight seconds.")
	default:
		lines = append(lines, "Not everything was refreshed and delivered.")
	}
	return prose(w, "%s", strings.Join(lines, "\n"))
}

// alone is a configuration that nothing of the environment changes: what a person has
// exported for a supervisor of their own would lead the demo into its store.
func alone(src config.Source) config.Source {
	src.Environ = func() []string { return nil }
	return src
}
