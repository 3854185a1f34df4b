package main

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

const (
	// logBacklog is how many lines wait for a log that does not take them.
	logBacklog = 1024
	// logFarewell is how long the last lines may take.
	logFarewell = 2 * time.Second
)

// logWriter writes lines somewhere without ever making the caller wait or fail:
// a terminal that was stopped (Ctrl-S) or closed, a full disk or a reader that
// hangs must not hold up a refresh. What it can't keep meanwhile is lost and
// counted.
type logWriter struct {
	to         io.Writer
	lines      chan []byte
	last, done chan struct{}
	lost       atomic.Int64
}

func newLogWriter(to io.Writer) *logWriter {
	l := &logWriter{to: to, lines: make(chan []byte, logBacklog), last: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// run writes until the last lines are written.
func (l *logWriter) run() {
	defer close(l.done)
	for {
		select {
		case line := <-l.lines:
			l.put(line)
			continue
		case <-l.last:
		}
		select {
		case line := <-l.lines:
			l.put(line)
		default:
			return
		}
	}
}

func (l *logWriter) put(line []byte) {
	if n := l.lost.Swap(0); n > 0 {
		if _, err := fmt.Fprintf(l.to, "tokenkeeper: %d lines of the log could not be written here and are lost\n", n); err != nil {
			l.lost.Add(n)
		}
	}
	if _, err := l.to.Write(line); err != nil {
		l.lost.Add(1)
	}
}

// Write takes one line, and returns at once and without an error.
func (l *logWriter) Write(line []byte) (int, error) {
	select {
	case l.lines <- append([]byte(nil), line...):
	default:
		l.lost.Add(1)
	}
	return len(line), nil
}

// Close writes what waits, as far as that goes quickly. What comes later is
// lost. It is called once.
func (l *logWriter) Close() error {
	close(l.last)
	select {
	case <-l.done:
	case <-time.After(logFarewell):
	}
	return nil
}
