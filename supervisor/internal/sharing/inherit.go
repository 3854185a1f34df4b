package sharing

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
)

// Shares are those of the accounts of one provider.
type Shares []*Share

// Collect takes over, for as long as ctx lasts, the locks that a process of an earlier
// supervisor has kept for this one: bequests gives keep each of them, and returns when
// ctx has ended; nil: there are none. The returned function waits for its end.
func (all Shares) Collect(ctx context.Context, bequests func(ctx context.Context, keep func(lock *os.File))) (end func()) {
	if bequests == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		bequests(ctx, all.inherit)
	}()
	return func() {
		cancel()
		<-done
	}
}

// inherit keeps a lock for the accounts whose shared files it is of, until they
// are settled: whose attempt it was, only the store and the spool know. What is
// of none, any more, is closed, and so no longer in anybody's way. All are asked at once,
// so that the disk of one is waited for once.
func (all Shares) inherit(lock *os.File) {
	var asked sync.WaitGroup
	var taken atomic.Bool
	for _, s := range all {
		asked.Go(func() {
			if s.file.Inherit(lock, s.account.Timeout+keptLonger) {
				taken.Store(true)
				s.Log().Info("the lock of the shared file was taken over from the start before, in which an attempt was cut off")
			}
		})
	}
	asked.Wait()
	if !taken.Load() {
		_ = lock.Close()
	}
}
