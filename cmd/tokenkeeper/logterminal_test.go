package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// shownLog is what a terminal shows of what log says.
func shownLog(p painter, level slog.Level, log func(*slog.Logger)) string {
	var to strings.Builder
	log(slog.New(&clocked{newTerminalHandler(&to, p, level)}))
	return to.String()
}

// clocked gives each record the time of the tests.
type clocked struct{ slog.Handler }

func (c *clocked) Handle(ctx context.Context, r slog.Record) error {
	r.Time = now
	return c.Handler.Handle(ctx, r)
}
func (c *clocked) WithAttrs(a []slog.Attr) slog.Handler { return &clocked{c.Handler.WithAttrs(a)} }
func (c *clocked) WithGroup(name string) slog.Handler   { return &clocked{c.Handler.WithGroup(name)} }

func TestLogForPeople(t *testing.T) {
	for name, tt := range map[string]struct {
		log  func(*slog.Logger)
		want string
	}{
		"an event": {func(l *slog.Logger) {
			event.NewBus(l, time.Now).Publish(slog.LevelInfo, event.Event{Type: event.Refreshed, Provider: "schwab", Account: "schwab-main", Version: 12, Attempt: "x1",
				Message: "the access token was refreshed", Expiry: now.Add(30 * time.Minute), Next: now.Add(25 * time.Minute)})
		}, "14:20:00 schwab-main: the access token was refreshed (version 12, expires at 14:50:00, next 14:45:00)\n"},
		"a failure": {func(l *slog.Logger) {
			event.NewBus(l, time.Now).Publish(slog.LevelWarn, event.Event{Type: event.RefreshFailed, Provider: "saxo", Account: "saxo-live", Kind: "transient", Failures: 3, Max: 5,
				Message: `account saxo-live: "sim" answered HTTP 503`, Next: now.Add(30 * time.Hour)})
		}, "14:20:00 WARN saxo-live: \"sim\" answered HTTP 503 (next 2026-09-15 20:20)\n"},
		"a message that says whom itself": {func(l *slog.Logger) { l.Error("account a can't be refreshed", "account", "a") }, "14:20:00 ERROR account a can't be refreshed\n"},
		"a name in the middle":            {func(l *slog.Logger) { l.Error("refresh failed (once): account a: no answer", "account", "a") }, "14:20:00 ERROR a: refresh failed (once): no answer\n"},
		"a sink": {func(l *slog.Logger) {
			l.With("sink", "bot").Error("a delivery failed", "account", "main", "err", errors.New(`open "x": no such file`))
		}, "14:20:00 ERROR main → bot: a delivery failed: open \"x\": no such file\n"},
		"a sink alone": {func(l *slog.Logger) { l.Info("it goes on", "sink", "bot", "provider", "") }, "14:20:00 → bot: it goes on\n"},
		"groups, and the rest": {func(l *slog.Logger) {
			l.WithGroup("g").With("a", 1).Info("x", slog.Group("h", "b", time.Second), slog.Group("", "c", true), "d", []string{"e", "f"})
		}, "14:20:00 x (g.a 1, g.h.b 1s, g.c true, g.d [e f])\n"},
		"what is below the level": {func(l *slog.Logger) { l.Debug("x") }, ""},
		"what a terminal obeys": {func(l *slog.Logger) {
			l.Warn("a\x1b[2Jb\tc\r\nlate\u202e\u200b", "err", "\x1b]0;x\x07y\u009b1m", "k", "v\n14:20:00 forged")
		}, "14:20:00 WARN a[2Jb c \n         late: ]0;xy1m (k v\n         14:20:00 forged)\n"},
		"secrets": {func(l *slog.Logger) {
			s := sdk.NewSecret("canary-1f7c")
			l.Info("x", "secret", s, "in", struct{ S sdk.Secret }{s}, "list", []sdk.Secret{s}, "err", &sdk.Error{Message: "m"})
		}, "14:20:00 x: m (secret [redacted], in {[redacted]}, list [[redacted]])\n"},
	} {
		got := shownLog(painter{}, slog.LevelInfo, tt.log)
		if got != tt.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, got, tt.want)
		}
		if strings.Contains(got, "canary") {
			t.Errorf("%s: a secret in %q", name, got)
		}
	}
	got := shownLog(painter{on: true}, slog.LevelDebug, func(l *slog.Logger) {
		l.Debug("y", "attempt", "x1")
		l.Error("x", "account", "main")
	})
	if want := "\x1b[2m14:20:00\x1b[0m \x1b[2mdebug\x1b[0m y \x1b[2m(attempt x1)\x1b[0m\n\x1b[2m14:20:00\x1b[0m \x1b[31mERROR\x1b[0m \x1b[1mmain\x1b[0m: x\n"; got != want {
		t.Errorf("in colour, of all:\ngot  %q\nwant %q", got, want)
	}
}

// TestTerminalHandlerIsAHandler holds the rules of package slog.
func TestTerminalHandlerIsAHandler(t *testing.T) {
	var to strings.Builder
	slogtest.Run(t, func(*testing.T) slog.Handler {
		to.Reset()
		return newTerminalHandler(&to, painter{}, slog.LevelInfo)
	}, func(t *testing.T) map[string]any { return shownAttrs(to.String()) })
}

// shownAttrs reads a line back, as far as the suite of slogtest needs it.
func shownAttrs(line string) map[string]any {
	all := map[string]any{slog.LevelKey: "INFO"}
	line = strings.TrimSuffix(line, "\n")
	if len(line) > 8 && line[2] == ':' && line[5] == ':' {
		all[slog.TimeKey], line = line[:8], line[9:]
	}
	message, rest, _ := strings.Cut(strings.TrimSuffix(line, ")"), " (")
	all[slog.MessageKey] = message
	for pair := range strings.SplitSeq(rest, ", ") {
		key, value, ok := strings.Cut(pair, " ")
		at := all
		for group, inner, more := strings.Cut(key, "."); more; group, inner, more = strings.Cut(key, ".") {
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at, key = at[group].(map[string]any), inner
		}
		if ok {
			at[key] = value
		}
	}
	return all
}

// TestLogElsewhereIsStructured: what is no terminal, and a file beside one, get the log as
// programs read it.
func TestLogElsewhereIsStructured(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	var stderr strings.Builder
	log, closer, err := newLogger(config.Log{Level: "info", Format: "text", File: file}, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log.Warn("a line", "account", "main", "attempt", "x1")
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for where, got := range map[string]string{"a pipe": stderr.String(), "a file": string(body)} {
		if !strings.HasPrefix(got, "time=") || !strings.HasSuffix(got, ` level=WARN msg="a line" account=main attempt=x1`+"\n") {
			t.Errorf("%s got %q", where, got)
		}
	}
	screen := newTerminal(t)
	if log, closer, err = newLogger(config.Log{Level: "info", Format: "text", File: file}, screen.File); err != nil {
		t.Fatal(err)
	}
	log.Warn("a line", "account", "other", "attempt", "x2")
	if err := closer.Close(); err != nil {
		t.Fatal(err)
	}
	if got := screen.text(); strings.Contains(got, "msg=") || !strings.Contains(got, "a line") || strings.Contains(got, "x2") {
		t.Errorf("a terminal got %q", got)
	}
	if body, err = os.ReadFile(file); err != nil || !strings.HasSuffix(string(body), ` level=WARN msg="a line" account=other attempt=x2`+"\n") {
		t.Errorf("the file beside a terminal has %q, %v", body, err)
	}
	if p := logPainter(&stderr, func(string) string { return "" }); p.on {
		t.Error("a pipe is painted")
	}
}
