package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
)

// terminalHandler writes a log for a person at a terminal: a short line for each
// record, with whom it concerns before the message and the rest behind it. What only
// programs look for is left out, unless the level is debug. It quotes nothing, so that
// nothing has to be escaped; what a terminal would obey is taken out instead. (The
// handlers that there are for terminals, as lmittmann/tint, quote what holds blanks.)
type terminalHandler struct {
	to    io.Writer // a line with each call
	paint painter
	level slog.Level
	attrs []slog.Attr // of every record
	group string      // before the keys of those to come: "name."
}

func newTerminalHandler(to io.Writer, p painter, level slog.Level) slog.Handler {
	return &terminalHandler{to: to, paint: p, level: level}
}

// logPainter colours a log on a terminal, unless the user asked for none
// (https://no-color.org).
func logPainter(to io.Writer, getenv func(string) string) painter {
	return painter{on: isTerminal(to) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
}

// forPrograms are the keys that a person does not miss: the message says as much.
var forPrograms = []string{"event", "attempt", "state", "kind", "failures", "max_failures"}

// Enabled implements [slog.Handler].
func (h *terminalHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs implements [slog.Handler].
func (h *terminalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		with.attrs = appendFlat(with.attrs, h.group, a)
	}
	return &with
}

// WithGroup implements [slog.Handler].
func (h *terminalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.group += name + "."
	return &with
}

// appendFlat resolves an attribute, and takes groups apart.
func appendFlat(attrs []slog.Attr, group string, a slog.Attr) []slog.Attr {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindGroup {
		if a.Key == "" {
			return attrs
		}
		a.Key = group + a.Key
		return append(attrs, a)
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, inner := range a.Value.Group() {
		attrs = appendFlat(attrs, group, inner)
	}
	return attrs
}

// Handle implements [slog.Handler].
func (h *terminalHandler) Handle(_ context.Context, r slog.Record) error {
	attrs := slices.Clip(h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		attrs = appendFlat(attrs, h.group, a)
		return true
	})
	account, whom, failure, rest := h.sorted(attrs, r.Time)
	var line strings.Builder
	if !r.Time.IsZero() {
		line.WriteString(h.paint.paint(dim, r.Time.Format("15:04:05")) + " ")
	}
	switch {
	case r.Level >= slog.LevelError:
		line.WriteString(h.paint.paint(red, "ERROR") + " ")
	case r.Level >= slog.LevelWarn:
		line.WriteString(h.paint.paint(yellow, "WARN") + " ")
	case r.Level < slog.LevelInfo:
		line.WriteString(h.paint.paint(dim, "debug") + " ")
	}
	message := harmless(r.Message)
	if account != "" {
		message = strings.Replace(message, "account "+account+": ", "", 1) // it is said once
	}
	if whom != "" && !strings.HasPrefix(message, "account "+whom) {
		line.WriteString(h.paint.paint(bold, whom) + ": ")
	}
	line.WriteString(message)
	if failure != "" {
		line.WriteString(": " + failure)
	}
	if len(rest) > 0 {
		line.WriteString(" " + h.paint.paint(dim, "("+strings.Join(rest, ", ")+")"))
	}
	line.WriteByte('\n')
	_, err := io.WriteString(h.to, line.String())
	return err
}

// sorted tells which account, or who else, a record concerns, what has failed, and what
// else is said of it.
func (h *terminalHandler) sorted(attrs []slog.Attr, now time.Time) (account, whom, failure string, rest []string) {
	var sink, provider string
	for _, a := range attrs {
		value := shownValue(a.Value, now)
		switch {
		case value == "":
		case a.Key == "account":
			account = value
		case a.Key == "sink":
			sink = value
		case a.Key == "provider":
			provider = value
		case a.Key == "err", a.Key == "error":
			failure = value
		case h.level >= slog.LevelInfo && slices.Contains(forPrograms, a.Key):
		default:
			rest = append(rest, strings.ReplaceAll(harmless(a.Key), "_", " ")+" "+value)
		}
	}
	whom = account
	if whom == "" {
		whom = provider
	}
	if sink != "" {
		whom = strings.TrimSpace(whom + " → " + sink)
	}
	return account, whom, failure, rest
}

// shownValue is a value in words: a moment as short as it can be told apart from now.
func shownValue(v slog.Value, now time.Time) string {
	if v.Kind() != slog.KindTime {
		return harmless(v.String())
	}
	at := v.Time().In(now.Location())
	switch {
	case at.IsZero():
		return ""
	case at.Sub(now).Abs() < 12*time.Hour:
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04")
}

// harmless is a text without what a terminal would obey. Lines stay lines, and can't be
// taken for those of the log.
func harmless(text string) string {
	return strings.ReplaceAll(visible(strings.TrimSpace(text)), "\n", "\n         ")
}

// visible is a text of others without what a terminal would obey.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		}
		return -1
	}, text)
}
