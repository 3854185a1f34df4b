// Package hosted runs a plugin's program for the conformance suites: with the
// supervisor's handshake, and held by a lifeline.
package hosted

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// Process is a plugin's process.
type Process struct {
	// Conn leads to what it serves.
	Conn *grpc.ClientConn
	// Locks lends it locks.
	Locks *lockloan.Lender

	cmd      *exec.Cmd
	client   *plugin.Client
	lifeline *os.File
}

// Start runs cmd, which has not been started, as a plugin of that name
// ([sdk.PluginName] or [sdk.SinkPluginName]). What it writes goes to log. The
// caller kills it in the end.
func Start(cmd *exec.Cmd, name string, log io.Writer) (*Process, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	locks, theirLocks, err := lockloan.Pair()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	defer theirLocks.Close()
	cmd.ExtraFiles = []*os.File{theirs, theirLocks}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, sdk.EnvLifeline+"=3", sdk.EnvLocks+"=4")
	p := &Process{Locks: locks, cmd: cmd, lifeline: ours}
	p.client = plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		VersionedPlugins: sdk.VersionedPlugins(name),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		AutoMTLS:         true,
		Cmd:              cmd,
		Logger:           hclog.NewNullLogger(),
		Stderr:           log, SyncStdout: log, SyncStderr: log,
	})
	protocol, err := p.client.Client()
	if err == nil {
		var conn any
		if conn, err = protocol.Dispense(name); err == nil {
			p.Conn = conn.(*grpc.ClientConn)
			return p, nil
		}
	}
	p.Kill()
	return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
}

// Signal sends sig to the process.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// LetGo ends the lifeline.
func (p *Process) LetGo() { _ = p.lifeline.Close() }

// ErrRuns: the process has not ended.
var ErrRuns = errors.New("the process still runs")

// Ended waits for the end of the process, for so many beats of package waittest
// at most, and returns nil if it ended well.
func (p *Process) Ended(beats int) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	late, cancel := waittest.Context(context.Background(), beats)
	defer cancel()
	for !p.client.Exited() {
		select {
		case <-look.C:
		case <-late.Done():
			return ErrRuns
		}
	}
	if state := p.cmd.ProcessState; !state.Success() {
		return fmt.Errorf("the process ended with: %s", state)
	}
	return nil
}

// Kill ends the process, if it has not ended.
func (p *Process) Kill() {
	p.client.Kill()
	p.LetGo()
	_ = p.Locks.Close()
}
