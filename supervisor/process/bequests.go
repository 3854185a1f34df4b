package process

import (
	"context"
	"os"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// lookForBequests is how often an orphan is asked for what it keeps: it may
// just be about to offer it.
const lookForBequests = 100 * time.Millisecond

// Bequests gives keep the locks of shared files that the predecessor has kept
// for its next supervisor, until ctx ends. It is for the time in which the next
// process waits for the spool, which the predecessor gives back when the locks
// were taken over, or nobody came for them.
func (p Predecessor) Bequests(ctx context.Context, keep func(lock *os.File)) {
	look := time.NewTicker(lookForBequests)
	defer look.Stop()
	for ctx.Err() == nil {
		for _, dir := range []string{p.SpoolDir, p.SpoolFallback} {
			if dir != "" {
				_ = lockloan.Collect(ctx, dir, keep) // mostly nobody offers any
			}
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
}
