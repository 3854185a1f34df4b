package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/datafolder"
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
}

// Signaller tells a running program that there is a new token, which it then
// fetches itself. It is delivered when the signal was sent. It implements
// [sink.Sink] and [sink.Tester].
type Signaller struct {
	cfg    SignalConfig
	signal syscall.Signal
}

var (
	_ sink.Sink   = (*Signaller)(nil)
	_ sink.Tester = (*Signaller)(nil)
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
	return &Signaller{cfg, signal}, nil
}

// Deliver sends the signal. A program that is not running is absent.
func (s *Signaller) Deliver(ctx context.Context, _ sink.Delivery) error {
	_, err := s.send(ctx, s.signal)
	return err
}

// Test looks whether the program runs and may be signalled, and sends nothing
// (signal 0 in kill(2)).
func (s *Signaller) Test(ctx context.Context, _ sink.Delivery) (done string, err error) {
	pid, err := s.send(ctx, syscall.Signal(0))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("process %d of the pidfile %s runs and may be signalled; nothing was sent", pid, s.cfg.PIDFile), nil
}

func (s *Signaller) send(ctx context.Context, signal syscall.Signal) (pid int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	pid, owner, err := s.read()
	if err != nil {
		return 0, err
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return 0, s.explain(pid, err)
	}
	defer func() { _ = process.Release() }()
	// Who may write the file must not be able to have other users' programs
	// signalled.
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err == nil && owner != 0 && info.Sys().(*syscall.Stat_t).Uid != owner {
		return 0, fmt.Errorf("the pidfile %s belongs to user %d and names process %d of another user: it is not signalled", s.cfg.PIDFile, owner, pid)
	}
	return pid, s.explain(pid, process.Signal(signal))
}

// read returns the number and who owns the file.
func (s *Signaller) read() (pid int, owner uint32, err error) {
	f, err := s.open()
	if errors.Is(err, fs.ErrNotExist) {
		return 0, 0, fmt.Errorf("%w: there is no pidfile %s", sink.ErrAbsent, s.cfg.PIDFile)
	} else if err != nil {
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o002 != 0 {
		return 0, 0, fmt.Errorf("the pidfile %s is no file, or everybody may write to it (mode %#o): chmod o-w", s.cfg.PIDFile, info.Mode().Perm())
	}
	b, err := io.ReadAll(io.LimitReader(f, 64))
	if err != nil {
		return 0, 0, fmt.Errorf("the pidfile can't be read: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" { // it is being written
		return 0, 0, fmt.Errorf("%w: the pidfile %s is empty", sink.ErrAbsent, s.cfg.PIDFile)
	}
	pid, err = strconv.Atoi(text)
	if err != nil || pid <= 1 || pid == os.Getpid() {
		return 0, 0, fmt.Errorf("the pidfile %s does not hold the number of a program that may be signalled", s.cfg.PIDFile)
	}
	return pid, info.Sys().(*syscall.Stat_t).Uid, nil
}

// mostLinks from the pidfile's path to the file.
const mostLinks = 40

// open follows no link of a stranger: whose file it leads to would count as
// whose word it is, and root has files that hold any number.
func (s *Signaller) open() (files.File, error) {
	path := s.cfg.PIDFile
	for range mostLinks {
		// Others may write to the folder: each file's owner counts.
		folder, err := datafolder.Open(path, trust.Rule{OpenFolder: true})
		if err != nil {
			return nil, err
		}
		target, err := folder.Link(path)
		if err == nil && target == "" {
			f, err := folder.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
			folder.Close()
			return f, err
		}
		folder.Close()
		if err != nil {
			return nil, err
		}
		path = target
	}
	return nil, fmt.Errorf("too many symbolic links lead from %s to it", s.cfg.PIDFile)
}

func (s *Signaller) explain(pid int, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrProcessDone), errors.Is(err, syscall.ESRCH):
		return fmt.Errorf("%w: process %d of the pidfile %s has ended", sink.ErrAbsent, pid, s.cfg.PIDFile)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("process %d belongs to another user, and only it or root may signal it: run Tokenkeeper as that user: %w", pid, err)
	}
	return fmt.Errorf("process %d can't be signalled: %w", pid, err)
}
