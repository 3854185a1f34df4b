package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Signals returns the names of the signals that can be sent.
func Signals() []string { return slices.Sorted(maps.Keys(signals())) }

func signals() map[string]syscall.Signal {
	return map[string]syscall.Signal{
		"HUP": syscall.SIGHUP, "INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "USR1": syscall.SIGUSR1, "USR2": syscall.SIGUSR2,
	}
}

// SignalConfig is one sink that signals a program.
type SignalConfig struct {
	// PIDFile holds the program's number, in decimal.
	PIDFile string
	// Signal is one of [Signals].
	Signal string
	// TrustFolder takes a pidfile in folders that others may write into.
	TrustFolder bool
}

// Signaller tells a running program that there is a new token, which it then
// fetches itself. It is delivered when the signal was sent. It implements
// [sink.Sink], [sink.Tester] and [sink.Addressed].
type Signaller struct {
	file   pidfile
	signal syscall.Signal
}

var (
	_ sink.Sink   = (*Signaller)(nil)
	_ sink.Tester = (*Signaller)(nil)

	_ sink.Addressed = (*Signaller)(nil)
)

// NewSignaller checks cfg.
func NewSignaller(cfg SignalConfig) (*Signaller, error) {
	signal, ok := signals()[cfg.Signal]
	switch {
	case cfg.PIDFile == "":
		return nil, errors.New("signal: it needs a pidfile")
	case !ok:
		return nil, fmt.Errorf("signal: %q is unknown: use one of %s", cfg.Signal, strings.Join(Signals(), ", "))
	}
	return &Signaller{pidfile{cfg.PIDFile, trust.Rule{OpenFolder: cfg.TrustFolder}}, signal}, nil
}

// Address implements [sink.Addressed]: which signal goes to whom.
func (s *Signaller) Address() string {
	return sink.AddressOf("signal", s.file.path, s.signal.String())
}

// Deliver sends the signal. A program that is not running is absent.
func (s *Signaller) Deliver(ctx context.Context, _ sink.Delivery) error {
	_, err := s.send(ctx, s.signal)
	return err
}

// Trusted says why nobody is signalled: others could have put the pidfile there,
// or can write it, or it is no file; nil: nothing of that. What is missing is in order.
func (s *Signaller) Trusted() error {
	f, _, err := s.file.open()
	if err == nil {
		info, err := f.Stat()
		if err == nil {
			err = s.file.irregular(info.Mode())
		}
		return errors.Join(err, f.Close())
	}
	if errors.Is(err, syscall.ENXIO) { // a socket can't be opened
		return s.file.irregular(fs.ModeSocket)
	}
	if _, ok := errors.AsType[*trust.Refusal](err); ok {
		return err
	}
	return nil // told when it is used
}

// Test looks whether the program runs and may be signalled, and sends nothing
// (signal 0 in kill(2)).
func (s *Signaller) Test(ctx context.Context, _ sink.Delivery) (done string, err error) {
	pid, err := s.send(ctx, syscall.Signal(0))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("process %d of the pidfile %s runs and may be signalled; nothing was sent", pid, s.file.path), nil
}

func (s *Signaller) send(ctx context.Context, signal syscall.Signal) (pid int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	pid, owner, err := s.file.read()
	if err != nil {
		return 0, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return 0, s.explain(pid, err)
	}
	defer func() { _ = process.Release() }()
	if owner != 0 {
		// Who may write the file must not be able to have other users' programs
		// signalled. The number is asked about after the process is held: it can be
		// given to another one only when this one has ended, and gets no signal.
		info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		switch {
		case err != nil && process.Signal(syscall.Signal(0)) != nil:
			return 0, s.explain(pid, os.ErrProcessDone)
		case err != nil:
			return 0, fmt.Errorf("whose process %d is can't be told, and so it is not signalled (is /proc mounted with hidepid?): %w", pid, err)
		case info.Sys().(*syscall.Stat_t).Uid != owner:
			return 0, fmt.Errorf("the pidfile %s is the word of user %d, who owns it or its folder, and names process %d of another user: it is not signalled", s.file.path, owner, pid)
		}
	}
	return pid, s.explain(pid, process.Signal(signal))
}

func (s *Signaller) explain(pid int, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrProcessDone), errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("%w: process %d of the pidfile %s has ended", sink.ErrAbsent, pid, s.file.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("process %d belongs to another user, and only it or root may signal it: run Tokenkeeper as that user: %w", pid, err)
	}
	return fmt.Errorf("process %d can't be signalled: %w", pid, err)
}
