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
	if c.File != "" {
		f, err := openLog(c)
		if err != nil {
			return nil, nil, fmt.Errorf("log.file: %w", err)
		}
		to = append(to, newLogWriter(f)) // it stays open as long as the process
	}
	file, stream := to, newLogWriter(w)
	to = append(to, stream)
	opts := &slog.HandlerOptions{Level: level}
	switch {
	case c.Format == "json":
		return slog.New(slog.NewJSONHandler(to, opts)), to, nil
	case isTerminal(w):
		people := newTerminalHandler(stream, logPainter(w, os.Getenv), level)
		return slog.New(slog.NewMultiHandler(slog.NewTextHandler(file, opts), people)), to, nil
	}
	return slog.New(slog.NewTextHandler(to, opts)), to, nil
}

// logWriters are all that a log is written to.
type logWriters []*logWriter

func (all logWriters) Write(line []byte) (int, error) {
	for _, l := range all {
		_, _ = l.Write(line)
	}
	return len(line), nil
}

func (all logWriters) Close() error {
	var errs []error
	for _, l := range all {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}
