package storetest

import (
	"context"
	"fmt"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Loss is what becomes of a change whose answer is lost.
type Loss string

const (
	Lossless Loss = ""
	// Before: it never comes to the store. After: it was made. Late: it is made, or
	// refused, when the same handle's next call comes, and others may be faster.
	Before Loss = "before the change"
	After  Loss = "after the change"
	Late   Loss = "on the way"
)

// Lossy is a handle on a store whose answers get lost, as over a network.
type Lossy struct {
	store.Store

	mu    sync.Mutex
	loses Loss
	late  func() error
}

// Lose has the answer to the next change be lost.
func (l *Lossy) Lose(how Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses = how
}

// arrives makes what is on its way: the handle's next call has come.
func (l *Lossy) arrives() (lose Loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.late != nil {
		_ = l.late() // nobody hears of it
	}
	l.late, lose = nil, l.loses
	return lose
}

func (l *Lossy) write(do func() error) error {
	how := l.arrives()
	l.Lose(Lossless)
	switch how {
	case Lossless:
		return do()
	case After:
		_ = do()
	case Late:
		l.mu.Lock()
		l.late = do
		l.mu.Unlock()
	}
	return fmt.Errorf("%w: the answer is lost", store.ErrUnknown)
}

func (l *Lossy) Load(ctx context.Context, account string) (store.Record, error) {
	l.arrives()
	return l.Store.Load(ctx, account)
}

func (l *Lossy) Heads(ctx context.Context) ([]store.Head, error) {
	l.arrives()
	return l.Store.Heads(ctx)
}

func (l *Lossy) Intent(ctx context.Context, account string) (store.Intent, bool, error) {
	l.arrives()
	return l.Store.Intent(ctx, account)
}

func (l *Lossy) Login(ctx context.Context, account string) (store.Login, bool, error) {
	l.arrives()
	return l.Store.Login(ctx, account)
}

func (l *Lossy) Requests(ctx context.Context, account string) ([]store.Request, error) {
	l.arrives()
	return l.Store.Requests(ctx, account)
}

func (l *Lossy) Pause(ctx context.Context, account string) (store.Pause, bool, error) {
	l.arrives()
	return l.Store.Pause(ctx, account)
}

func (l *Lossy) Alerts(ctx context.Context) ([]event.Alert, error) {
	l.arrives()
	return l.Store.Alerts(ctx)
}

func (l *Lossy) Intend(ctx context.Context, in store.Intent) error {
	return l.write(func() error { return l.Store.Intend(ctx, in) })
}

func (l *Lossy) Replace(ctx context.Context, attempt string, in store.Intent) error {
	return l.write(func() error { return l.Store.Replace(ctx, attempt, in) })
}

func (l *Lossy) Commit(ctx context.Context, rec store.Record) error {
	return l.write(func() error { return l.Store.Commit(ctx, rec) })
}

func (l *Lossy) Abandon(ctx context.Context, account, attempt string, at store.Basis, h store.Health) error {
	return l.write(func() error { return l.Store.Abandon(ctx, account, attempt, at, h) })
}

func (l *Lossy) PutBeside(ctx context.Context, account, attempt string, at store.Basis, c *store.Candidate) error {
	return l.write(func() error { return l.Store.PutBeside(ctx, account, attempt, at, c) })
}

func (l *Lossy) SetAside(ctx context.Context, account string, e store.Evidence) error {
	return l.write(func() error { return l.Store.SetAside(ctx, account, e) })
}

func (l *Lossy) PutLogin(ctx context.Context, in store.Login) error {
	return l.write(func() error { return l.Store.PutLogin(ctx, in) })
}

func (l *Lossy) DropLogin(ctx context.Context, account, state string) error {
	return l.write(func() error { return l.Store.DropLogin(ctx, account, state) })
}

func (l *Lossy) PutRequests(ctx context.Context, account string, all []store.Request) error {
	return l.write(func() error { return l.Store.PutRequests(ctx, account, all) })
}

func (l *Lossy) PutPause(ctx context.Context, account string, was, p *store.Pause) error {
	return l.write(func() error { return l.Store.PutPause(ctx, account, was, p) })
}

func (l *Lossy) Rename(ctx context.Context, from, to string, at store.Basis) error {
	return l.write(func() error { return l.Store.Rename(ctx, from, to, at) })
}

func (l *Lossy) Forget(ctx context.Context, account, attempt string, at store.Basis) error {
	return l.write(func() error { return l.Store.Forget(ctx, account, attempt, at) })
}

func (l *Lossy) SaveAlert(ctx context.Context, a event.Alert) error {
	return l.write(func() error { return l.Store.SaveAlert(ctx, a) })
}

func (l *Lossy) DropAlert(ctx context.Context, key string, version uint64) error {
	return l.write(func() error { return l.Store.DropAlert(ctx, key, version) })
}
