package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

// Exit codes of a shell for a program that it can't run.
const (
	exitCantRun  = 126
	exitNotFound = 127
)

// execution is a program that runs with the tokens of accounts.
type execution struct {
	*env
	command []string
	places  []place
	inFiles bool
	onNew   reaction
	// stopWithin is how long it may take to end.
	stopWithin time.Duration
	// witness tells the signals of the terminal; nil: there is none.
	witness *witness

	held map[string]control.TokenAnswer // by account
	// files are those of the places, in their order, if they are used.
	files []*os.File
}

// run runs the program, when it has its tokens, until it ends by itself, or because of a
// signal.
func (x *execution) run(ctx context.Context) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, handedOn()...)
	defer signal.Stop(signals)
	if err := ctx.Err(); err != nil { // by a signal that came before
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fresh, stop := x.follow(ctx)
	defer stop()
	if _, is := x.onTerminal(); is {
		x.witness = newWitness()
		defer func() { x.witness.dismiss() }()
	}
	for {
		p, err := x.start()
		if err != nil {
			return err
		}
		again, err := x.attend(p, signals, fresh)
		if !again {
			return err
		}
	}
}

// handedOn are the signals that the program gets. One that is ignored here, as nohup and a
// shell's background have it, stays so for the program too.
func handedOn() []os.Signal {
	all := []os.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM}
	return slices.DeleteFunc(all, signal.Ignored)
}

// follow brings each new token of the accounts; stop ends that.
func (x *execution) follow(ctx context.Context) (fresh <-chan control.TokenAnswer, stop func()) {
	c := client.New(x.socket, client.WithDial(x.dial))
	all := make(chan control.TokenAnswer)
	for _, p := range x.places {
		go func() {
			for token, err := range c.Watch(ctx, p.account) {
				if err != nil { // which passes, and the program goes on with what it has
					continue
				}
				select {
				case all <- control.TokenAnswer{Account: p.account, Version: token.Version, AccessToken: token.AccessToken.Reveal()}:
				case <-ctx.Done():
				}
			}
		}()
	}
	return all, c.Close
}

// dial connects to the control socket, wherever it is now.
func (x *execution) dial(ctx context.Context) (net.Conn, error) {
	c, err := x.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return localsocket.Dial(ctx, c.Socket(), nil)
}

// hold puts a token into the account's file, and notes it then: one that could not be put
// there is taken when it comes again.
func (x *execution) hold(got control.TokenAnswer) error {
	text, err := printable(got)
	if err != nil {
		return err
	}
	for i, p := range x.places {
		if !x.inFiles || p.account != got.Account {
			continue
		}
		// Nothing is left of a longer one before it, not even for whoever reads in between.
		info, serr := x.files[i].Stat()
		if serr != nil {
			return serr
		}
		rest := strings.Repeat("\n", max(1, int(info.Size())-len(text)))
		if _, err = x.files[i].WriteAt([]byte(text+rest), 0); err == nil {
			err = x.files[i].Truncate(int64(len(text) + 1))
		}
		if err != nil {
			return err
		}
	}
	x.held[got.Account] = got
	return nil
}

// openFiles makes the files in memory that the program gets the tokens in.
func (x *execution) openFiles() error {
	for _, p := range x.places {
		if !x.inFiles {
			break
		}
		fd, err := unix.MemfdCreate("token of "+p.account, unix.MFD_CLOEXEC)
		if err != nil {
			return fmt.Errorf("make a file in memory for the token of account %s: %w", p.account, err)
		}
		x.files = append(x.files, os.NewFile(uintptr(fd), "the token of "+p.account))
	}
	return nil
}

func (x *execution) closeFiles() {
	for _, f := range x.files {
		_ = f.Close()
	}
}

// child is a program that was started.
type child struct {
	*exec.Cmd
	ended <-chan struct{}
}

// start starts the program with the newest tokens.
func (x *execution) start() (child, error) {
	cmd := exec.Command(x.command[0], x.command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.stdin, x.stdout, x.stderr
	cmd.Env = passedOn(os.Environ())
	for i, p := range x.places {
		value := x.held[p.account].AccessToken
		if x.inFiles {
			value = fmt.Sprintf("/dev/fd/%d", 3+i)
			f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", x.files[i].Fd())) // anew: only to read, from its begin
			if err != nil {
				return child{}, fmt.Errorf("open the token of account %s for the program: %w", p.account, err)
			}
			defer func() { _ = f.Close() }()
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		cmd.Env = append(cmd.Env, p.variable+"="+value)
	}
	if err := cmd.Start(); err != nil {
		code := exitCantRun
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
			code = exitNotFound
		}
		return child{}, &exitError{code, fmt.Errorf("the program was not run: %w", err)}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // which ProcessState tells
	}()
	return child{cmd, ended}, nil
}

// passedOn is what of our environment a program gets. What overrides the configuration may
// be a secret, and the tokens of another exec are for its program.
func passedOn(environ []string) []string {
	return slices.DeleteFunc(environ, func(entry string) bool {
		return strings.HasPrefix(entry, config.EnvPrefix) && !strings.HasPrefix(entry, config.EnvFile+"=")
	})
}

// attend is there for a program until it has ended. again: because of a new token alone.
func (x *execution) attend(p child, signals <-chan os.Signal, fresh <-chan control.TokenAnswer) (again bool, err error) {
	var late <-chan time.Time
	for {
		select {
		case <-p.ended:
			if again {
				return true, nil
			}
			return false, exitOf(p.ProcessState)
		case sig := <-signals:
			again = again && sig != unix.SIGINT && sig != unix.SIGTERM && sig != unix.SIGQUIT
			if !x.hasHad(sig) {
				_ = p.Process.Signal(sig)
			}
		case got := <-fresh:
			if got.Version == x.held[got.Account].Version {
				continue
			}
			if err := x.hold(got); err != nil {
				x.warn("the program goes on with the token that it has: %v", err)
				continue
			}
			switch {
			case x.onNew.signal != 0:
				_ = p.Process.Signal(x.onNew.signal)
			case x.onNew.restart && late == nil:
				again, late = true, time.After(x.stopWithin)
				_ = p.Process.Signal(unix.SIGTERM)
			}
		case <-late:
			x.warn("the program has not ended within %s of SIGTERM, and is killed", x.stopWithin)
			_ = p.Process.Kill()
			late = nil
		}
	}
}

// exitOf is how the program has ended, as the end of this process; nil: well.
func exitOf(state *os.ProcessState) error {
	code := state.ExitCode()
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	if code == 0 {
		return nil
	}
	return &exitError{code, errSaid}
}
