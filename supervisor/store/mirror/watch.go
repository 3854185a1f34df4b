package mirror

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// fault is why nothing can be made durable. Those, too, may ask who must not wait for mu.
type fault struct{ why atomic.Pointer[error] }

func (f *fault) set(err error) { f.why.Store(&err) }

// is returns nil while all is well.
func (f *fault) is() error {
	if why := f.why.Load(); why != nil {
		return *why
	}
	return nil
}

// watch tells of a write that does not come back, until it does: call what it returns
// then. Whichever comes first, the moment or the end, nothing is told of a write that is
// over, and nothing stays told. To call it once more does nothing.
func (m *upkeep) watch(after time.Duration) (end func()) {
	path := m.at.file()
	var mu sync.Mutex
	over := false
	timer := time.AfterFunc(after, func() {
		mu.Lock()
		defer mu.Unlock()
		if over || m.fault.is() != nil { // that is told
			return
		}
		err := fmt.Errorf("%w: a write does not come back", ErrDisk)
		m.hangs.set(err)
		m.tell(Trouble{What: "the disk hangs; what has been announced is not sent before it answers", Path: path, Err: err})
	})
	return func() {
		timer.Stop()
		mu.Lock()
		defer mu.Unlock()
		told := m.hangs.is() != nil
		over = true
		if m.hangs.set(nil); told && m.file != nil {
			m.tell(Trouble{What: "the disk answers again", Path: path, Recovered: true})
		}
	}
}

// worksFor is how long what takes the whole file may last on a slow machine.
func (m *upkeep) worksFor() time.Duration {
	if m.file == nil {
		return hangsAfter
	}
	return hangsAfter + time.Duration(m.file.Room>>20)*wholeMiB
}
