package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/ownership"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// stateDir is what check found out about the state directory.
type stateDir struct {
	Path string `json:"path"`
	// State in words: what is there, or what is wrong.
	State string `json:"state"`
	// InUseBy is the PID of the supervisor that runs with it; 0: none answers.
	InUseBy int  `json:"in_use_by,omitempty"`
	OK      bool `json:"ok"`
	// Machine is whose store it is.
	Machine control.Machine `json:"machine"`
	// Left are accounts of which the store has a token and which the configuration that is
	// checked does not name.
	Left []control.ListedAccount `json:"left_accounts,omitempty"`
	// oldConfig says that what runs does not use what the file holds.
	oldConfig string
	// answered is what the supervisor that runs with it has said; nil: nothing. Silent: one
	// runs that says nothing.
	answered *control.Status
	silent   bool
	// there is set if there is anything at the path.
	there bool
	// damaged: its store is not whole, and the next start restores it if it can.
	damaged bool
	// refused is why it is not used, if others could have put it there or can use it.
	refused *trust.Refusal
}

// seenStateDir is checkStateDir for who only looks: to root it is in order that the
// directory is for the service's user alone.
func seenStateDir(ctx context.Context, cfg *config.Config) stateDir {
	d := checkStateDir(ctx, cfg)
	if d.there && d.refused != nil && os.Geteuid() == 0 && trust.Here().IsOwners(d.Path) {
		d = stateDir{Path: d.Path, there: true}
		d.lookInto(ctx, cfg)
	}
	return d
}

// checkStateDir looks without changing anything.
func checkStateDir(ctx context.Context, cfg *config.Config) stateDir {
	d := stateDir{Path: cfg.StateDir}
	info, err := os.Stat(d.Path)
	d.there = !errors.Is(err, fs.ErrNotExist)
	switch {
	case !d.there:
		if d.State, d.refused = refusedState(d.Path); d.State != "" {
			return d
		}
		d.Machine, _ = ownership.Of(cfg)
		if d.InUseBy = statedir.Displaced(cfg.StateDir); d.InUseBy != 0 {
			d.State, d.OK = fmt.Sprintf("has been moved or removed while a supervisor uses it (PID %d), which makes it again within half a minute", d.InUseBy), true
			return d
		}
		above := existing(filepath.Dir(d.Path))
		if err := unix.Access(above, unix.W_OK|unix.X_OK); err != nil {
			d.State = fmt.Sprintf("does not exist, and user %d can't make it in %s: make it with mode 0700 or set state_dir", os.Geteuid(), above)
			return d
		}
		d.State, d.OK = "does not exist yet; run makes it", true
		return d
	case err != nil:
		d.State = fmt.Sprintf("can't be looked at: %v", errors.Unwrap(err))
		return d
	case !info.IsDir():
		d.State = "is no directory: set state_dir to one"
		return d
	}
	if d.State, d.refused = refusedState(d.Path); d.State == "" {
		d.lookInto(ctx, cfg)
	}
	return d
}

// lookInto looks at what is in the directory.
func (d *stateDir) lookInto(ctx context.Context, cfg *config.Config) {
	err := unix.Access(d.Path, unix.R_OK|unix.W_OK|unix.X_OK)
	if errors.Is(err, unix.EROFS) && cfg.FallbackDir != "" {
		// The store, the spool and the control socket go there.
		d.State, d.OK = fmt.Sprintf("can only be read: run goes on in fallback_dir, %s", cfg.FallbackDir), true
		return
	}
	if err != nil {
		d.State = fmt.Sprintf("can't be read and written: %v", err)
		return
	}
	d.State, d.OK = "ready", true
	c := clientOf(cfg)
	defer c.Close()
	if s, err := c.Status(ctx); err == nil && s.StateDir == cfg.StateDir {
		d.answered, d.Machine, d.oldConfig = &s, s.Machine, oldConfig(s, time.Now())
		d.InUseBy, d.State = s.PID, fmt.Sprintf("in use by the running supervisor (PID %d)", s.PID)
		if all, err := c.Accounts(ctx); err == nil { // an older one does not list them
			d.Left = leftover.Of(leftover.Compare(cfg, all.Accounts))
		}
		return
	}
	d.Machine, err = ownership.Of(cfg)
	switch {
	case err == nil:
		if pid := statedir.Displaced(cfg.StateDir); pid != 0 && statedir.Starting(cfg.StateDir) == 0 {
			d.InUseBy = pid
			d.State = fmt.Sprintf("is not the one that a supervisor uses (PID %d), which has been moved or removed, and which it makes again within half a minute", d.InUseBy)
			return
		}
		if all, err := leftover.Stored(cfg, time.Now()); err == nil {
			d.Left = leftover.Of(all)
		}
	case errors.Is(err, store.ErrInUse):
		d.State, d.silent = "in use by a supervisor that does not answer here", true
		if d.InUseBy = statedir.Starting(cfg.StateDir); d.InUseBy != 0 {
			d.State = fmt.Sprintf("in use by a supervisor (PID %d), which is starting", d.InUseBy)
		} else if d.InUseBy = statedir.Displaced(cfg.StateDir); d.InUseBy != 0 {
			d.State = fmt.Sprintf("in use by a supervisor (PID %d), whose control socket has been moved or removed", d.InUseBy)
		}
	case errors.Is(err, store.ErrDamaged):
		d.State, d.OK = fmt.Sprintf("holds a store that is not whole: %v; run restores it from its backups, if it can, and keeps the damaged file", err), false
		d.damaged = true
	default:
		d.State, d.OK = fmt.Sprintf("holds a store that can't be used: %v", err), false
	}
}

// tells says whether what is wrong with the state directory is the same as err.
func (d stateDir) tells(err error) bool {
	var refusal *trust.Refusal
	return d.refused != nil && errors.As(err, &refusal) && refusal.Path == d.refused.Path
}

// whoCanReplace says who can replace the state directory as a whole; nil:
// nobody but root, our own user and whom the configuration trusts.
func whoCanReplace(cfg *config.Config) *trust.Refusal {
	path, err := filepath.Abs(cfg.StateDir)
	if err != nil {
		return nil
	}
	var refusal *trust.Refusal
	if _, err := trust.Here().Examine(filepath.Dir(path), trust.Rule{Steers: true, Users: cfg.Trust}); errors.As(err, &refusal) {
		refusal.Remedy = ""
		return refusal
	}
	return nil
}

// refusedState says why a state directory is not used, whether it is there or
// not: others could have put it there, or can use it; "": they can't.
func refusedState(dir string) (why string, refusal *trust.Refusal) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return "can't be looked at: " + err.Error(), nil
	}
	_, err = trust.Here().Private(path)
	switch {
	case !errors.As(err, &refusal):
		return "", nil // what else is wrong is told elsewhere
	case refusal.Path == path:
		return fmt.Sprintf("%s (%s): %s", refusal.Reason, refusal.Mode, refusal.Remedy), refusal
	}
	return "is not used: " + refusal.Error(), refusal
}

// machineLine says whose store it is, if there is anything to say.
func machineLine(m control.Machine) string {
	switch {
	case m.Other:
		return fmt.Sprintf("the store belongs to %s, and this is %s: no refresh token is used before \"tokenkeeper adopt\"", m.Owner, m.Here)
	case m.Unguarded != "":
		return "not watched, so a clone would use the same refresh tokens: " + m.Unguarded
	}
	return m.Owner
}

// existing is the nearest directory at or above path that exists.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}
