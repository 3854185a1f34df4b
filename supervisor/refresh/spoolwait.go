package refresh

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// spoolSlack is how long after its attempt's deadline a process of an
	// earlier start may keep the spool.
	spoolSlack = 5 * time.Second
	// spoolFreeing is how long it may take until the spool is had after that.
	spoolFreeing = 30 * time.Second
)

// unsettled asks for what stands in the spool. The process waits meanwhile for
// the one before it, which may hear an answer out: bounded, because it may also
// hang.
func (k *Keeper) unsettled(ctx context.Context, remote *sdk.Remote) ([]spool.Entry, error) {
	var open []store.Intent
	for name := range k.accounts {
		in, intended, err := k.cfg.Store.Intent(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("read the open attempt of account %s: %w", name, err)
		}
		if intended {
			open = append(open, in)
		}
	}
	patience := spoolPatience(open, k.longestTimeout(), k.clock.Now().Wall)
	patient, cancel := context.WithTimeout(ctx, patience+spoolFreeing)
	defer cancel()
	if k.cfg.Outwait != nil {
		go k.cfg.Outwait(patient, patience)
	}
	defer k.collect(patient)() // which ends before the process that has them
	return k.readSpool(patient, remote)
}

// spoolPatience is how long a process may keep the spool that has made these
// attempts: until the last one's deadline and a little longer. One that has
// made none that we know of may still have made one.
func spoolPatience(open []store.Intent, timeout time.Duration, now time.Time) time.Duration {
	left := time.Duration(0)
	for _, in := range open {
		left = max(left, in.At.Add(timeout).Sub(now))
	}
	if len(open) == 0 {
		left = timeout
	}
	return min(left, timeout) + spoolSlack // a clock that was set must not make it long
}

func (k *Keeper) longestTimeout() (longest time.Duration) {
	for _, a := range k.accounts {
		longest = max(longest, a.cfg.Timeout)
	}
	return longest
}
