package refresh

import (
	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// Corrupt hands the heap to a test that puts a fault into it.
func (k *Keeper) Corrupt(fault func(h *schedule.Heap, now schedule.Instant)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fault(k.heap, k.clock.Now())
}

// FallAsleep makes the Keeper believe that a loop runs, which never comes to its
// turn.
func (k *Keeper) FallAsleep() {
	k.setRunning(true)
	k.setRemote(sdk.NewRemote(nil))
}
