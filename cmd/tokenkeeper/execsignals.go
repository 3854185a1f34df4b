package main

import (
	"io"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// onTerminal says whether one of the streams is the terminal whose keys send signals here.
func (x *execution) onTerminal() (group int, is bool) {
	for _, stream := range []any{x.stdin, x.stdout, x.stderr} {
		f, ok := stream.(*os.File)
		if !ok {
			continue
		}
		if group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP); err == nil {
			return group, true
		}
	}
	return 0, false
}

// hasHad says whether the program has had a signal by itself, as all that the terminal
// runs in front get those of its keys.
func (x *execution) hasHad(sig os.Signal) bool {
	if sig != unix.SIGINT && sig != unix.SIGQUIT {
		return false
	}
	group, is := x.onTerminal()
	if !is || group != unix.Getpgrp() {
		return false
	}
	if x.witness == nil { // most likely
		return true
	}
	if !x.witness.sees() {
		return false
	}
	x.witness = newWitness()
	return true
}

// witness is a program of this process group that dies of each signal that comes to the
// whole of it. Who has sent a signal the runtime does not tell, and does not let signals be
// blocked that end programs, which it would take to ask the kernel.
type witness struct {
	lifeline io.Closer
	died     <-chan struct{}
}

// witnessTime is how long it may take to die.
const witnessTime = 500 * time.Millisecond

// newWitness starts one; nil: none can be had.
func newWitness() *witness {
	cmd := exec.Command("cat") // which does nothing until its input ends
	cmd.Env = []string{}
	lifeline, err := cmd.StdinPipe()
	if err != nil || cmd.Start() != nil {
		return nil
	}
	died := make(chan struct{})
	go func() {
		defer close(died)
		_ = cmd.Wait()
	}()
	return &witness{lifeline, died}
}

// sees says whether it dies of a signal that came just now.
func (w *witness) sees() bool {
	select {
	case <-w.died:
		return true
	case <-time.After(witnessTime):
		return false
	}
}

func (w *witness) dismiss() {
	if w != nil {
		_ = w.lifeline.Close()
		<-w.died
	}
}
