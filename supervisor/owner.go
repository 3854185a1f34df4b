package supervisor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A store belongs to one machine. On another one, after a clone or a restore,
// no refresh token is sent until a person adopts it.

// ownership is what the supervisor knows of whose store it has. It is safe for
// concurrent use; its zero value is that of a store whose machine nobody names.
type ownership struct {
	mu sync.Mutex
	// unguarded is why the store's machine does not matter.
	unguarded string
	facts     machine.Facts
	owner     machine.Owner
	// saving is held while the owner is changed in the store, so that of two
	// who do that none undoes the other's.
	saving sync.Mutex
}

// recognise compares the store's machine with this one, and names it in a store
// that has no name yet.
func (s *Supervisor) recognise(ctx context.Context) error {
	facts := s.opts.Seams.Machine()
	guarded, why := machine.Guarded(s.opts.Config.MachineGuard, facts)
	s.ownership.unguarded, s.ownership.facts = why, facts
	if !guarded {
		s.log.Info("the store belongs to no machine: a clone of it would spend the same refresh tokens", "because", why)
		return nil
	}
	owner, err := s.store.Owner(ctx)
	if err != nil {
		return err
	}
	found := owner.Found(facts)
	if !found.Same(owner) {
		if err := s.store.SaveOwner(ctx, found); err != nil {
			s.log.Warn("the store could not be told its machine; the next start tries again", "error", err)
		}
	}
	s.ownership.owner = found
	if what, todo := s.ownership.trouble(); what != "" {
		s.events.Publish(slog.LevelError, event.Event{Type: event.OtherMachine, Message: what + ": " + todo})
	}
	return nil
}

// read returns whose store it is.
func (o *ownership) read() machine.Owner {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.owner
}

func (o *ownership) set(owner machine.Owner) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner = owner
}

// trouble says that the store is another machine's, and what to do; "": it is
// not.
func (o *ownership) trouble() (what, todo string) {
	return otherMachine(o.read())
}

func otherMachine(o machine.Owner) (what, todo string) {
	if o.Stranger == nil {
		return "", ""
	}
	return fmt.Sprintf("this store belongs to the machine %s, and this is %s: no refresh token is used, "+
			"because the other machine may use the same one, and then the login is lost to both", o.Name, o.Stranger.Name),
		"stop Tokenkeeper on the other machine for good, then run here: tokenkeeper adopt"
}

// hold is what the keepers must know of it; nil: nothing.
func (o *ownership) hold() *refresh.Hold {
	owner := o.read()
	what, todo := otherMachine(owner)
	if what == "" {
		return nil
	}
	return &refresh.Hold{Reason: what + ": " + todo, Logins: maps.Clone(owner.Stranger.Logins)}
}

func (o *ownership) status() control.Machine {
	o.mu.Lock()
	defer o.mu.Unlock()
	return machineStatus(o.unguarded, o.owner, o.facts)
}

func machineStatus(unguarded string, o machine.Owner, f machine.Facts) control.Machine {
	if unguarded != "" || o.Name.Zero() {
		return control.Machine{Unguarded: unguarded}
	}
	return control.Machine{Owner: o.Name.String(), Here: o.Name.Here(f).String(), Other: o.Stranger != nil}
}

// holdAll tells the keepers.
func (s *Supervisor) holdAll() {
	for _, k := range s.keepers {
		k.Hold(s.ownership.hold())
	}
}

// loggedIn notes that a person has logged in on this machine: the grant is its
// own, whoever the store belongs to.
func (s *Supervisor) loggedIn(ctx context.Context, rec store.Record) {
	o := &s.ownership
	o.saving.Lock()
	defer o.saving.Unlock()
	owner := o.read()
	if owner.Stranger == nil {
		return
	}
	owner = owner.LoggedIn(rec.Account, rec.LoginAt)
	if err := s.store.SaveOwner(context.WithoutCancel(ctx), owner); err != nil {
		s.log.Warn("it could not be stored that this login is of this machine; after the next start it is refreshed only once the store is adopted",
			"account", rec.Account, "error", err)
	}
	o.set(owner)
	s.holdAll()
}

// Adopt implements [control.Backend].
func (b backend) Adopt(ctx context.Context) (control.AdoptAnswer, error) {
	s, o := b.s, &b.s.ownership
	o.saving.Lock()
	defer o.saving.Unlock()
	got, owner, err := adopt(ctx, s.store, o.unguarded, o.read(), o.facts)
	if err != nil || !got.Adopted {
		return got, err
	}
	o.set(owner)
	s.events.Nudge()
	s.events.Publish(slog.LevelInfo, event.Event{
		Type: event.MachineAdopted, Message: fmt.Sprintf("the store, which belonged to the machine %s, is that of %s now", got.From, got.To),
	})
	s.holdAll()
	return got, nil
}

// Adopt makes a store this machine's while no supervisor runs: the store's lock
// makes sure of that.
func Adopt(ctx context.Context, cfg *config.Config) (_ control.AdoptAnswer, err error) {
	facts := machine.Read()
	_, unguarded := machine.Guarded(cfg.MachineGuard, facts)
	here, _, err := appear(cfg.StateDir)
	if err != nil {
		return control.AdoptAnswer{}, err
	}
	defer func() { err = errors.Join(err, here.Close()) }()
	st, err := store.Open(cfg.StateDir, store.Options{Now: time.Now, Fallback: cfg.FallbackDir})
	if err != nil {
		return control.AdoptAnswer{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	owner, err := st.Owner(ctx)
	if err != nil {
		return control.AdoptAnswer{}, err
	}
	got, _, err := adopt(ctx, st, unguarded, owner.Found(facts), facts)
	return got, err
}

func adopt(ctx context.Context, st *store.Bolt, unguarded string, o machine.Owner, f machine.Facts) (control.AdoptAnswer, machine.Owner, error) {
	if unguarded != "" {
		return control.AdoptAnswer{}, o, control.Errorf(control.CodeConflict, "there is nothing to adopt: %s", unguarded)
	}
	if o.Stranger == nil {
		name := o.Name.String()
		return control.AdoptAnswer{From: name, To: name}, o, nil
	}
	adopted := machine.Owner{Name: o.Name.Here(f)}
	if err := st.SaveOwner(ctx, adopted); err != nil {
		return control.AdoptAnswer{}, o, control.Errorf(control.CodeUnavailable, "%v", err)
	}
	return control.AdoptAnswer{Adopted: true, From: o.Name.String(), To: adopted.Name.String()}, adopted, nil
}

// WhoseStore says whose the store is while no supervisor runs, without changing
// anything. Its errors are those of [store.Inspect].
func WhoseStore(cfg *config.Config) (control.Machine, error) {
	facts := machine.Read()
	_, unguarded := machine.Guarded(cfg.MachineGuard, facts)
	owner, err := store.OwnerOf(cfg.StateDir)
	if !owner.Name.Zero() {
		owner = owner.Found(facts)
	}
	return machineStatus(unguarded, owner, facts), err
}
