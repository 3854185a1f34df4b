package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// newLogger logs to w and, if the configuration names one, to a file as well.
// Nothing ever waits for either of them, and one that fails does not stop the
// other. Closing it writes the last lines.
func newLogger(c config.Log, w io.Writer) (*slog.Logger, io.Closer, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, nil, fmt.Errorf("log.level: %w", err)
	}
	var to logWriters
	var all []slog.Handler
	if c.File != "" {
		f, err := openLog(c)
		if err != nil {
			return nil, nil, fmt.Errorf("log.file: %w", err)
		}
		file := newLogWriter(f) // which stays open as long as the process
		to, all = append(to, file), append(all, logHandler(c.Format, &slog.HandlerOptions{Level: level})(file))
	}
	stream := newLogWriter(w)
	to = append(to, stream)
	opts := &slog.HandlerOptions{Level: level}
	switch {
	case isJournal(w, os.Getenv):
		if c.Format != "json" {
			opts.ReplaceAttr = timeless
		}
		all = append(all, newJournalHandler(stream, logHandler(c.Format, opts)))
	case c.Format != "json" && isTerminal(w):
		all = append(all, newTerminalHandler(stream, logPainter(w, os.Getenv), level))
	default:
		all = append(all, logHandler(c.Format, opts)(stream))
	}
	return slog.New(slog.NewMultiHandler(all...)), to, nil
}

// logHandler makes the handler of a format.
func logHandler(format string, opts *slog.HandlerOptions) func(io.Writer) slog.Handler {
	if format == "json" {
		return func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, opts) }
	}
	return func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) }
}

// logWriters are all that a log is written to.
type logWriters []*logWriter

func (all logWriters) Close() error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
