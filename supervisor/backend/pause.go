package backend

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Pause implements [control.Backend].
func (b accounts) Pause(ctx context.Context, req control.PauseRequest) (control.PauseAnswer, error) {
	said := store.Pause{Since: b.Wall(), By: req.By, Reason: req.Reason}
	if req.For > 0 {
		said.Until = said.Since.Add(req.For)
	}
	var got refresh.Pausing
	if err := b.onKeeper(ctx, req.Account, func(k *refresh.Keeper) (err error) {
		got, err = k.Pause(ctx, req.Account, said)
		return err
	}); err != nil {
		return control.PauseAnswer{}, control.RefreshError(err)
	}
	return control.PauseAnswer{Account: req.Account, Pause: got.Pause, Already: got.Already, InFlight: got.InFlight}, nil
}

// PauseAll implements [control.Backend].
func (b accounts) PauseAll(ctx context.Context, req control.PauseRequest) (control.PauseAnswers, error) {
	all, err := ofAll(b.names(), func(account string) (control.PauseAnswer, error) {
		one := req
		one.Account = account
		return b.Pause(ctx, one)
	})
	return control.PauseAnswers{Accounts: all}, err
}

// Resume implements [control.Backend].
func (b accounts) Resume(ctx context.Context, account string, by event.Caller) (control.ResumeAnswer, error) {
	var got refresh.Resuming
	if err := b.onKeeper(ctx, account, func(k *refresh.Keeper) (err error) {
		got, err = k.Resume(ctx, account, by)
		return err
	}); err != nil {
		return control.ResumeAnswer{}, control.RefreshError(err)
	}
	return control.ResumeAnswer{Account: account, Resumed: got.Pause != nil, Pause: got.Pause, Due: got.Due}, nil
}

// ResumeAll implements [control.Backend].
func (b accounts) ResumeAll(ctx context.Context, by event.Caller) (control.ResumeAnswers, error) {
	all, err := ofAll(b.names(), func(account string) (control.ResumeAnswer, error) { return b.Resume(ctx, account, by) })
	return control.ResumeAnswers{Accounts: all}, err
}

// names are those of all accounts, in order.
func (b accounts) names() []string { return slices.Sorted(maps.Keys(b.Roster.Now().Config.Accounts)) }

// atOnce is how many accounts are paused or resumed at once: the store takes what comes
// together with one write.
const atOnce = 64

// ofAll does the same with all accounts, also if it fails with some; the error is the first
// of theirs, in their order.
func ofAll[T any](names []string, do func(account string) (T, error)) ([]T, error) {
	all, errs := make([]T, len(names)), make([]error, len(names))
	room := make(chan struct{}, atOnce)
	var under sync.WaitGroup
	for n, name := range names {
		room <- struct{}{}
		under.Go(func() {
			defer func() { <-room }()
			all[n], errs[n] = do(name)
		})
	}
	under.Wait()
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return all, nil
	case 1:
		return all, errs[0]
	}
	return all, control.Errorf(codeOf(errs[0]), "%v; %d of %d accounts have failed", errs[0], len(errs), len(names))
}

// codeOf is the code of an error.
func codeOf(err error) string {
	if said, ok := errors.AsType[*control.Error](err); ok {
		return said.Code
	}
	return control.CodeInternal
}
