// Package folder is a sink to test with: it keeps each account's newest
// document as a file in a directory, and misbehaves on request. It shows what
// a sink looks like, and is no place to keep tokens.
package folder

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Type is the type of such sinks.
const Type = "folder"

// Sink keeps documents in the directory that its setting "dir" names. The zero
// value is ready.
type Sink struct{}

var (
	_ sdk.Restorer = Sink{}
	_ sdk.Holder   = Sink{}
	_ sdk.Tester   = Sink{}
	_ sdk.Notifier = Sink{}
)

// DescribeSink implements [sdk.Sink].
func (Sink) DescribeSink(context.Context) (sdk.SinkDescription, error) {
	return sdk.SinkDescription{
		Name: Type, Version: "test",
		Settings: []sdk.Setting{{Name: "dir", Description: "Where the documents go.", Required: true}},
	}, nil
}

// Deliver implements [sdk.Sink].
func (Sink) Deliver(ctx context.Context, req sdk.DeliverRequest) error {
	dir, err := open(ctx, req.Settings)
	if err != nil {
		return err
	}
	if err := write(dir, req.Account, req.Content.Reveal()); err != nil {
		return err
	}
	return write(dir, versionFile(req.Account), strconv.FormatUint(req.Version, 10))
}

// versionFile is where the version of an account's document stands.
func versionFile(account string) string { return ".version-" + filepath.Base(account) }

// Holds implements [sdk.Holder].
func (Sink) Holds(ctx context.Context, req sdk.HoldsRequest) (sdk.Holding, error) {
	dir, err := open(ctx, req.Settings)
	if err != nil {
		return sdk.Holding{}, err
	}
	if Stored(dir, filepath.Base(req.Account)) == "" {
		return sdk.Holding{}, sdk.ErrNothingStored
	}
	version, err := strconv.ParseUint(Stored(dir, versionFile(req.Account)), 10, 64)
	if err != nil {
		return sdk.Holding{}, sdk.ErrUnimplemented // somebody else has put it there
	}
	return sdk.Holding{Version: version}, nil
}

// Notify implements [sdk.Notifier]: the notice's file is called after its ID.
func (Sink) Notify(ctx context.Context, req sdk.NotifyRequest) error {
	dir, err := open(ctx, req.Settings)
	if err != nil {
		return err
	}
	return write(dir, "notice-"+req.ID, req.Content)
}

// Test implements [sdk.Tester].
func (Sink) Test(ctx context.Context, req sdk.TestRequest) error {
	_, err := open(ctx, req.Settings)
	return err
}

// Restore implements [sdk.Restorer].
func (Sink) Restore(ctx context.Context, req sdk.RestoreRequest) (sdk.Restored, error) {
	dir, err := open(ctx, req.Settings)
	if err != nil {
		return sdk.Restored{}, err
	}
	path := filepath.Join(dir, filepath.Base(req.Account))
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return sdk.Restored{}, sdk.ErrNothingStored
	}
	if err != nil {
		return sdk.Restored{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return sdk.Restored{}, err
	}
	return sdk.Restored{Content: sdk.NewSecret(string(content)), StoredAt: info.ModTime()}, nil
}

// Stored returns what the directory holds of the account; "" for nothing.
func Stored(dir, account string) string {
	content, _ := os.ReadFile(filepath.Join(dir, account))
	return string(content)
}

// Fault is a way to misbehave.
type Fault string

const (
	Hang    Fault = "hang"   // answers when the call ends, and no earlier
	Deaf    Fault = "deaf"   // does not even answer then
	Hold    Fault = "hold"   // goes on when the directory misbehaves no longer
	Spin    Fault = "spin"   // computes for ever
	Exit    Fault = "exit"   // ends the process
	Panic   Fault = "panic"  // panics
	Absent  Fault = "absent" // the consumer is not running
	Gone    Fault = "gone"
	Refused Fault = "refused"
	Slow    Fault = "slow" // asks to be left alone for 90 s
	Failing Fault = "failing"
)

const faultFile = ".fault"

// Break makes every call of sinks on the directory misbehave, and heals them
// with "".
func Break(dir string, f Fault) error { return write(dir, faultFile, string(f)) }

// open returns the directory, which must exist.
func open(ctx context.Context, settings sdk.Settings) (string, error) {
	dir := settings.Get("dir")
	if dir == "" {
		return "", errors.New("the setting dir is missing: name a directory")
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); err != nil {
		return "", err
	}
	fault, err := os.ReadFile(filepath.Join(dir, faultFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return dir, misbehave(ctx, dir, Fault(strings.TrimSpace(string(fault))))
}

func misbehave(ctx context.Context, dir string, f Fault) error {
	switch f {
	case Hold:
		for Stored(dir, faultFile) == string(Hold) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		return ctx.Err()
	case Spin:
		for {
			runtime.Gosched()
		}
	case Hang:
		<-ctx.Done()
		return ctx.Err()
	case Deaf:
		select {}
	case Exit:
		os.Exit(3)
	case Panic:
		panic("as a test asked for")
	case Absent:
		return fmt.Errorf("nobody reads the directory: %w", sdk.ErrAbsent)
	case Gone:
		return fmt.Errorf("the directory is closed: %w", sdk.ErrGone)
	case Refused:
		return fmt.Errorf("the document is too large: %w", sdk.ErrRefused)
	case Slow:
		return &sdk.Error{Kind: sdk.KindRateLimited, Message: "too many documents", RetryAfter: 90 * time.Second}
	case Failing:
		return errors.New("the directory is full")
	}
	return nil
}

// write replaces a file, so that a reader never sees a part of it.
func write(dir, name, content string) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, filepath.Base(name)))
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
