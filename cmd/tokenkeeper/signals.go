package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
)

// survive keeps this process alive through what happens to terminals and logs:
// the hang-up of a terminal (SIGHUP), a log whose reader has gone (SIGPIPE), and
// a terminal that stops what writes to it from the background (SIGTTOU). The
// signals that tell other services to read something again (SIGHUP, SIGUSR1,
// SIGUSR2) come on the channel.
func survive() <-chan os.Signal {
	// Caught and not ignored, because what is ignored stays so in the programs
	// that sinks run. Only SIGTTOU must be ignored: a caught one is sent again
	// for as long as the write is tried.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	signal.Ignore(syscall.SIGTTOU)
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	return heard
}

// heed does what signals ask for, until ctx ends: SIGHUP, to read the configuration again.
// Of the others the log says that they came.
func heed(ctx context.Context, heard <-chan os.Signal, reload func(context.Context) (difference.Difference, error), log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-heard:
			if sig != syscall.SIGHUP {
				log.Info("a signal was received that changes nothing; SIGHUP has the configuration read again", "signal", sig.String())
				continue
			}
			if d, err := reload(ctx); err == nil && d.IsZero() {
				log.Info("SIGHUP was received, and the configuration says what it said before: nothing was changed")
			}
		}
	}
}

// untilEnded returns a context that ends when a person, or the end of the
// terminal, ends a command that shows something.
func untilEnded(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}
