// Package ownership is whose a store is. A store belongs to one machine: on another
// one, after a clone or a restore, no refresh token is sent until a person adopts it.
package ownership

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Store is what the owner is noted in.
type Store interface {
	Owner(ctx context.Context) (machine.Owner, error)
	SaveOwner(ctx context.Context, o machine.Owner) error
}

// Config is what an Ownership needs.
type Config struct {
	// Guard is the configuration's word on whether the machine matters.
	Guard   string
	Machine machine.Facts
	Store   Store
	// Changed is called with each new [Ownership.Hold], and must not wait.
	Changed func(*refresh.Hold)
	Events  *event.Bus
	Log     *slog.Logger
}

// Ownership is what a supervisor knows of whose store it has. It is safe for
// concurrent use.
type Ownership struct {
	cfg Config

	// saving is held while the owner is changed in the store, so that of two
	// who do that none undoes the other's.
	saving sync.Mutex
	mu     sync.Mutex
	owner  machine.Owner
	// here is what counts as this machine, and unguarded why the store's does not matter.
	here      machine.Facts
	unguarded string
}

// Recognise compares the store's machine with this one, and names it in a store
// that has no name yet.
func Recognise(ctx context.Context, c Config) (*Ownership, error) {
	owner, err := c.Store.Owner(ctx)
	if err != nil {
		return nil, err
	}
	o := &Ownership{cfg: c}
	if o.here, o.unguarded = machine.Here(c.Guard, c.Machine, owner); o.unguarded != "" {
		c.Log.Info("the store belongs to no machine: a clone of it would spend the same refresh tokens", "because", o.unguarded)
		return o, nil
	}
	o.owner = owner.Found(o.here)
	if !o.owner.Same(owner) {
		if err := c.Store.SaveOwner(ctx, o.owner); err != nil {
			c.Log.Warn("the store could not be told its machine; the next start tries again", "error", err)
		}
	}
	if what, todo := o.Trouble(); what != "" {
		c.Events.Publish(slog.LevelError, event.Event{Type: event.OtherMachine, Message: what + ": " + todo})
	}
	return o, nil
}

// read returns whose store it is.
func (o *Ownership) read() machine.Owner {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owner
}

func (o *Ownership) set(owner machine.Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner = owner
	o.here, o.unguarded = machine.Here(o.cfg.Guard, o.cfg.Machine, owner)
}

// Trouble says that the store is another machine's, and what to do; "": it is
// not.
func (o *Ownership) Trouble() (what, todo string) {
	return otherMachine(o.read())
}

func otherMachine(o machine.Owner) (what, todo string) {
	if o.Stranger == nil {
		return "", ""
	}
	todo = "stop Tokenkeeper on the other machine for good, then run here: tokenkeeper adopt"
	if o.Stranger.Name.Nameless() {
		todo += "; or, if the store is to move between that machine and places without an identity, set machine_guard: off"
	}
	return fmt.Sprintf("this store belongs to the machine %s, and this is %s: no refresh token is used, "+
		"because the other machine may use the same one, and then the login is lost to both", o.Name, o.Stranger.Name), todo
}

// Hold is what keepers must know of it; nil: nothing.
func (o *Ownership) Hold() *refresh.Hold {
	owner := o.read()
	what, todo := otherMachine(owner)
	if what == "" {
		return nil
	}
	return &refresh.Hold{Reason: what + ": " + todo, Logins: maps.Clone(owner.Stranger.Logins)}
}

// Status is what people are told.
func (o *Ownership) Status() control.Machine {
	o.mu.Lock()
	defer o.mu.Unlock()
	return status(o.unguarded, o.owner, o.here)
}

func status(unguarded string, o machine.Owner, f machine.Facts) control.Machine {
	if unguarded != "" || o.Name.Zero() {
		return control.Machine{Unguarded: unguarded}
	}
	return control.Machine{Owner: o.Name.String(), Here: o.Name.Here(f).String(), Other: o.Stranger != nil}
}

// LoggedIn notes that a person has logged in on this machine: the grant is its
// own, whoever the store belongs to.
func (o *Ownership) LoggedIn(ctx context.Context, rec store.Record) {
	o.saving.Lock()
	defer o.saving.Unlock()
	owner := o.read()
	if owner.Stranger == nil {
		return
	}
	owner = owner.LoggedIn(rec.Account, rec.LoginAt)
	if err := o.cfg.Store.SaveOwner(context.WithoutCancel(ctx), owner); err != nil {
		o.cfg.Log.Warn("it could not be stored that this login is of this machine; after the next start it is refreshed only once the store is adopted",
			"account", rec.Account, "error", err)
	}
	o.set(owner)
	o.cfg.Changed(o.Hold())
}

// Adopt makes the store this machine's. Its errors are those of the control API.
func (o *Ownership) Adopt(ctx context.Context) (control.AdoptAnswer, error) {
	o.saving.Lock()
	defer o.saving.Unlock()
	o.mu.Lock()
	was, here, unguarded := o.owner, o.here, o.unguarded
	o.mu.Unlock()
	got, owner, err := adopt(ctx, o.cfg.Store, unguarded, was, here)
	if err != nil || !got.Adopted {
		return got, err
	}
	o.set(owner)
	o.cfg.Events.Nudge()
	o.cfg.Events.Publish(slog.LevelInfo, event.Event{
		Type: event.MachineAdopted, Message: fmt.Sprintf("the store, which belonged to the machine %s, is that of %s now", got.From, got.To),
	})
	o.cfg.Changed(o.Hold())
	return got, nil
}

func adopt(ctx context.Context, st Store, unguarded string, o machine.Owner, f machine.Facts) (control.AdoptAnswer, machine.Owner, error) {
	if unguarded != "" {
		return control.AdoptAnswer{}, o, control.Errorf(control.CodeConflict, "there is nothing to adopt: %s", unguarded)
	}
	if o.Stranger == nil {
		name := o.Name.String()
		return control.AdoptAnswer{From: name, To: name}, o, nil
	}
	adopted := o.Adopted(f)
	if err := st.SaveOwner(ctx, adopted); err != nil {
		return control.AdoptAnswer{}, o, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.AdoptAnswer{Adopted: true, From: o.Name.String(), To: o.Stranger.Name.String()}, adopted, nil
}
