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

// Forget takes an account's turn away, as if somebody had not planned it.
func (k *Keeper) Forget(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.accounts[name].plan.notDue()
}

// FallAsleep makes the Keeper believe that a loop runs, which never comes to its
// turn.
func (k *Keeper) FallAsleep() {
	k.setRunning(true)
	k.setRemote(sdk.NewRemote(nil))
}
