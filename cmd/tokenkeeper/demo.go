package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

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

Nothing outside this machine is asked, and all files go at the end. With --for
it runs that long without a terminal and succeeds only if every account was
refreshed and delivered to every sink.`,
		Example: "  tokenkeeper demo\n  tokenkeeper demo --for 20s",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := untilEnded(cmd.Context())
			defer stop()
			return e.demo(ctx, howLong)
		},
	}
	cmd.Flags().DurationVar(&howLong, "for", 0, "run this long, print events and a verdict, and need no terminal")
	return cmd
}

func (e *env) demo(ctx context.Context, howLong time.Duration) (err error) {
	if howLong < 0 {
		return usageErrorf("--for %s: give a time to run, such as 20s", howLong)
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
	cfg, err := e.loadFrom(e.source(w.config))
	if err != nil {
		return err
	}
	log, _, err := newLogger(cfg.Log, logFile)
	if err != nil {
		return err
	}
	s, err := newSupervisor(ctx, cfg, log, nil)
	if err != nil {
		return err
	}
	events := s.Events().Subscribe(256)
	defer events.Close()

	running, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	client := control.NewClient(cfg.Control.Socket)
	defer client.Close()
	if err := w.logIn(running, client); err != nil {
		end()
		return errors.Join(err, <-ended)
	}
	shown := e.showDemo(running, w, client, events, howLong)
	st, statusErr := client.Status(context.WithoutCancel(ctx))
	end()
	if err := errors.Join(shown, <-ended, statusErr); err != nil {
		return err
	}
	return e.demoVerdict(w, st, howLong > 0)
}

// showDemo shows what happens until the user has seen enough.
func (e *env) showDemo(ctx context.Context, w *demoWorld, c *control.Client, events *event.Subscription, howLong time.Duration) error {
	in, isFile := e.stdin.(*os.File)
	if howLong == 0 && isFile && isTerminal(e.stdout) && isTerminal(in) {
		return e.demoScreen(ctx, in, w, c, events)
	}
	if !e.json {
		if err := e.print("Simulated brokers, real supervisor. From another terminal: %s\n", w.restartHint(c)); err != nil {
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

// demoVerdict says how it went; it is an error if an account was not refreshed
// or a sink lacks a refreshed token, and the time was the user's choice.
func (e *env) demoVerdict(w *demoWorld, st control.Status, judged bool) error {
	verdict := demoResult{OK: true, Accounts: st.Accounts, Received: w.received()}
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
	}
	if e.json {
		if err := e.printJSON(verdict); err != nil {
			return err
		}
	} else if err := verdict.print(e.stdout); err != nil {
		return err
	}
	if judged && !verdict.OK {
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
}

func (r *demoResult) fail(format string, args ...any) {
	r.OK = false
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (r *demoResult) print(w io.Writer) error {
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	for _, a := range r.Accounts {
		line := fmt.Sprintf("%-12s refreshed %d times; newest version delivered:", a.Name, max(int(a.Version)-1, 0))
		for _, d := range a.Sinks {
			line += fmt.Sprintf(" %s v%d", d.Sink, d.Version)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	for _, p := range r.Problems {
		if _, err := fmt.Fprintln(w, "PROBLEM:", p); err != nil {
			return err
		}
	}
	text := "Every account was refreshed and delivered to every sink."
	if !r.OK {
		text = "Not everything was refreshed and delivered."
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
