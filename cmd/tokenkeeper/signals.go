package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
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

// noteSignals says in the log what came, until ctx ends.
func noteSignals(ctx context.Context, heard <-chan os.Signal, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-heard:
			log.Info("a signal was received that changes nothing: restart the service for a new configuration", "signal", sig.String())
		}
	}
}

// untilEnded returns a context that ends when a person, or the end of the
// terminal, ends a command that shows something.
func untilEnded(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
}
