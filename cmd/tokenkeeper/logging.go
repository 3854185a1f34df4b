package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// newLogger logs to w and, if the configuration names one, to a file as well.
func newLogger(c config.Log, w io.Writer) (*slog.Logger, io.Closer, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, nil, fmt.Errorf("log.level: %w", err)
	}
	closer := io.Closer(io.NopCloser(nil))
	if c.File != "" {
		f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("log.file: %w", err)
		}
		w, closer = io.MultiWriter(w, f), f
	}
	opts := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts)), closer, nil
	}
	return slog.New(slog.NewTextHandler(w, opts)), closer, nil
}
