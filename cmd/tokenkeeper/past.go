package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// historian reads the history of what a verb goes by.
type historian struct{ *env }

// past reads the history of the supervisor that [configured.client] would ask, whether it
// runs or not: what is wanted of it, as [history.Read] has it.
func (e historian) past(ctx context.Context, wanted func(history.Line) bool) (history.Past, error) {
	var lines []history.Line
	past, err := e.walk(ctx, wanted, func(l history.Line) error { lines = append(lines, l); return nil })
	past.Lines = lines
	return past, err
}

// walk is past for who needs one line after the other, as [history.Walk] has it.
func (e historian) walk(ctx context.Context, wanted func(history.Line) bool, each func(history.Line) error) (history.Past, error) {
	dir, guessed, err := e.stateDir()
	if err != nil {
		return history.Past{}, err
	}
	var failed error
	shown := 0
	one := func(l history.Line) error {
		shown++
		failed = each(l)
		return failed
	}
	past, err := history.Walk(dir, wanted, one)
	if err == nil && shown == 0 && (guessed || past.From.IsZero()) { // it may be elsewhere, as whoever keeps it knows
		switch s := e.answered(ctx); {
		case s.StateDir != "" && s.StateDir != dir:
			dir, guessed = s.StateDir, false
			past, err = history.Walk(dir, wanted, one)
		case s.StateDir == "" && s.PID != 0: // he is told so little
			err = fs.ErrPermission
		}
	}
	switch {
	case failed != nil:
		return past, failed
	case errors.Is(err, fs.ErrPermission):
		return past, fmt.Errorf("the history is for root and the user who runs the supervisor: %w", err)
	case err != nil:
		return past, fmt.Errorf("the history can't be read: %w", err)
	case guessed && shown == 0:
		return past, usageErrorf("there is no history in %s, beside the control socket: name the configuration with -c, which tells the state directory", dir)
	}
	for _, err := range past.Unread {
		e.warn("a part of what happened is missing here: %v", err)
	}
	return past, nil
}

// answered is what the supervisor says of itself; nothing if none answers soon.
func (e historian) answered(ctx context.Context) (s control.Status) {
	c, err := e.client()
	if err != nil {
		return s
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, _ = c.Status(ctx)
	return s
}

// observed is since when one answers that only observes, and so keeps no history; zero: none
// does.
func (e historian) observed(ctx context.Context) time.Time {
	if s := e.answered(ctx); s.Observing {
		return s.StartedAt
	}
	return time.Time{}
}

// isKnown refuses a name that no account has or had, as far as that can be told: by the
// history, the configuration, and what the supervisor, or without one the store, has.
func (e historian) isKnown(ctx context.Context, account string, past history.Past) error {
	if past.Has(account) {
		return nil
	}
	var names []string
	told := false
	if e.socket == "" || e.configFile != "" { // otherwise the supervisor may be of another configuration
		if cfg := e.named(); cfg != nil {
			names, told = accountNames(cfg), true
		}
	}
	if !slices.Contains(names, account) {
		if all, err := accountsVerb(e).accountList(ctx); err == nil {
			told = true
			for _, a := range all.Accounts {
				names = append(names, a.Name)
			}
		}
	}
	if !told || slices.Contains(names, account) {
		return nil
	}
	slices.Sort(names)
	return control.Errorf(control.CodeNotFound, "no account is named %q, and the history knows none of that name%s", account, control.Hint(account, slices.Compact(names), "accounts list"))
}

// noteAside has the history tell what was done without a supervisor. Nothing depends on it.
func (e *configured) noteAside(stateDir string, at time.Time, done ...event.Event) {
	if len(done) == 0 {
		return
	}
	for i := range done {
		done[i].Time = at
		done[i].Message += "; no supervisor was running"
	}
	if err := history.Aside(stateDir, done...); err != nil {
		e.warn("it is done, and the history does not tell it: %v", err)
	}
}

// stateDir is where its state is; guessed: only its socket was named, which is in there
// unless the configuration says otherwise.
func (e historian) stateDir() (dir string, guessed bool, err error) {
	if e.socket != "" && e.configFile == "" {
		return filepath.Dir(e.socket), true, nil
	}
	path, err := e.configPath()
	if err != nil {
		return "", false, err
	}
	cfg, err := socketOf(path, e.asker())
	if err != nil {
		return "", false, &exitError{exitUsage, fmt.Errorf("the configuration does not tell the state directory:\n%w", err)}
	}
	return cfg.StateDir, false, nil
}

// before is a moment that a person names as seen from now: a time, a time of the last 24
// hours, or how long ago it was.
func before(flag, text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return at, nil
		}
	}
	for _, layout := range []string{time.TimeOnly, "15:04"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		if at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()-1, clock.Hour(), clock.Minute(), clock.Second(), 0, now.Location())
		}
		return at, nil
	}
	ago := strings.TrimPrefix(text, "-")
	if days, err := strconv.Atoi(strings.TrimSuffix(ago, "d")); err == nil && strings.HasSuffix(ago, "d") && days >= 0 {
		return now.AddDate(0, 0, -days), nil
	}
	if d, err := time.ParseDuration(ago); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, usageErrorf("%s is a time, like 14:05, \"2026-11-21 14:05\" or 2026-11-21T14:05:00Z, or how long ago, like 90m, 2h or 3d, not %q", flag, text)
}
