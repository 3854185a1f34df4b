package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// isJournal says whether what is written to w goes to systemd's journal, and
// nowhere else: JOURNAL_STREAM names the device and the inode of that
// (systemd.exec(5)).
func isJournal(w io.Writer, getenv func(string) string) bool {
	f, ok := w.(*os.File)
	if !ok || getenv("JOURNAL_STREAM") == "" {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && fmt.Sprintf("%d:%d", st.Dev, st.Ino) == getenv("JOURNAL_STREAM")
}

// priority is how grave a line is, as the journal knows it (syslog(3)).
type priority byte

const (
	priorityError   priority = '3'
	priorityWarning priority = '4'
	priorityInfo    priority = '6'
	priorityDebug   priority = '7'
)

func priorityOf(level slog.Level) priority {
	switch {
	case level >= slog.LevelError:
		return priorityError
	case level >= slog.LevelWarn:
		return priorityWarning
	case level >= slog.LevelInfo:
		return priorityInfo
	default:
		return priorityDebug
	}
}

// prioritized begins each line with its priority, which the journal takes off
// again (sd-daemon(3)).
type prioritized struct {
	to io.Writer
	priority
}

func (w prioritized) Write(text []byte) (int, error) {
	var marked []byte
	for line := range bytes.Lines(text) {
		marked = append(append(marked, '<', byte(w.priority), '>'), line...)
	}
	_, err := w.to.Write(marked)
	return len(text), err
}

// asPriority is w for text that is so grave.
func asPriority(w io.Writer, p priority) io.Writer {
	if isJournal(w, os.Getenv) {
		return prioritized{w, p}
	}
	return w
}

// journalHandler hands each record to the handler of its priority.
type journalHandler map[priority]slog.Handler

// newJournalHandler writes to the journal, through what makes a handler of a
// writer.
func newJournalHandler(to io.Writer, handler func(io.Writer) slog.Handler) journalHandler {
	h := journalHandler{}
	for _, p := range []priority{priorityError, priorityWarning, priorityInfo, priorityDebug} {
		h[p] = handler(prioritized{to, p})
	}
	return h
}

func (h journalHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h[priorityOf(level)].Enabled(ctx, level)
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	return h[priorityOf(r.Level)].Handle(ctx, r)
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithAttrs(attrs) })
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return h.each(func(one slog.Handler) slog.Handler { return one.WithGroup(name) })
}

func (h journalHandler) each(of func(slog.Handler) slog.Handler) journalHandler {
	all := make(journalHandler, len(h))
	for p, one := range h {
		all[p] = of(one)
	}
	return all
}

// timeless leaves out when a record was made, which the journal notes itself.
func timeless(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
