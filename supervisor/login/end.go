package login

import (
	"context"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
)

// This file holds how an open login ends that brings no token: by a person's word, or
// by itself.

// CancelLogin ends the login that is open, and returns what it was.
func (f *Front) CancelLogin(ctx context.Context, name string) (Begun, error) {
	if err := f.known(name); err != nil {
		return Begun{}, err
	}
	if err := f.awaitPoll(ctx, name); err != nil {
		return Begun{}, err
	}
	l, err := f.cancelling(name)
	if err != nil {
		return Begun{}, err
	}
	if err := f.open.drop(ctx, name, l.State); err != nil {
		l.GoesOn()
		return Begun{}, fmt.Errorf("account %s: the login goes on, because its end can't be made durable: %w", name, err)
	}
	crashpoint.Here("refresh: the begun login is dropped")
	f.open.Close(name, l.State, errCancelled)
	f.cycle.Plan(name)
	was := l.Stored()
	f.cfg.log(name).Info("the login was cancelled", "begun", was.At)
	return begun(was), nil
}

// cancelling is the open login, whose code is not spent while its end is made durable:
// nobody is told that it is over while a code is on its way.
func (f *Front) cancelling(name string) (*Login, error) {
	l := f.open.At(name, f.now().Wall)
	switch {
	case l != nil && l.cancels():
		return l, nil
	case l != nil || f.cycle.State(name).Exchanges():
		return nil, errSpent(name)
	}
	return nil, fmt.Errorf("account %s: %w; begin one with: tokenkeeper login %s", name, ErrNotOpen, name)
}

// DropLogins does endOver beside whoever looks: on a disk that hangs, everything else is
// looked at all the same.
func (f *Front) DropLogins() {
	if len(f.open.all()) == 0 || !f.setEnding(true) {
		return
	}
	go func() {
		f.endOver(context.Background())
		f.setEnding(false)
	}()
}

// setEnding is false if it was so before.
func (f *Front) setEnding(on bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := f.ending
	f.ending = on
	return was != on
}

// endOver drops the logins that can't be completed any more. What the store does not
// take it is asked to take at the next look.
func (f *Front) endOver(ctx context.Context) {
	now := f.now()
	for _, l := range f.open.all() {
		if f.open.At(l.Account, now.Wall) == l || f.isEnding(l) {
			continue
		}
		why := errNotInTime
		if _, err := f.unpolled(l); err != nil {
			why = fmt.Errorf("%w; whether it was approved could not be asked: %w", errNotInTime, err)
		}
		log := f.cfg.log(l.Account)
		if err := f.open.drop(ctx, l.Account, l.State); err != nil {
			log.Warn("a login that is over can't be dropped from the store; it is tried again", "error", err)
			continue
		}
		f.open.Close(l.Account, l.State, why)
		log.Info("a login was not completed in time, and is over", "begun", l.Stored().At)
	}
}

// isEnding says whether an attempt to end a login stands open, which needs it.
func (f *Front) isEnding(l *Login) bool {
	return l.Guided && (l.IsUnsettled() || f.cycle.State(l.Account).Ends() == l.State)
}
