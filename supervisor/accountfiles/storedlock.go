package accountfiles

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
)

const (
	// lockName and an account's name are what the service manager calls the lock
	// of its shared file.
	lockName = "lock-"
	// longestStored is how long after an attempt its lock still counts, over
	// however many starts that fail: nobody is locked out for ever.
	longestStored = 10 * time.Minute
	// inheritedFor is how long a lock waits for the attempt to be settled, beside
	// the attempt's own time.
	inheritedFor = time.Minute
)

// storedLock is the lock of one account's shared file, as the service manager
// keeps it for the attempt. It is safe for concurrent use.
type storedLock struct {
	store   *fdstore.Store
	account string
	log     *slog.Logger

	mu   sync.Mutex
	name string // "": it is not there
}

// Put implements [sharedfile.Deposit].
func (l *storedLock) Put(fd int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name != "" {
		return nil
	}
	name, err := l.store.Put(lockName+l.account, fd)
	if err == nil {
		l.name = name
	}
	return err
}

// Remove implements [sharedfile.Deposit].
func (l *storedLock) Remove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.name == "" {
		return
	}
	if err := l.store.Remove(l.name); err != nil {
		l.log.Warn("the service manager keeps a descriptor that nobody needs, until the service is stopped", "account", l.account, "error", err)
	}
	l.name = ""
}

// InheritLocks gives each account the lock of its shared file that the service
// manager has kept since an attempt that was cut off. What belongs to no account
// any more, or has waited for too long, is given back. It is called once all files
// were added.
func (f *Files) InheritLocks() {
	for _, stored := range f.stored.Received() {
		account, isLock := strings.CutPrefix(stored.Name, lockName)
		w, known := f.watches[account]
		if isLock && known && time.Since(stored.At).Abs() < longestStored && w.inherit(stored) {
			f.log.Info("the lock of the shared file was kept by the service manager since an attempt that was cut off", "account", account)
			continue
		}
		if err := f.stored.Drop(stored); err != nil {
			f.log.Warn("a lock that the service manager has kept could not be given back", "account", account, "error", err)
		}
	}
}

// inherit takes over a lock that is in the store.
func (w Watch) inherit(stored fdstore.Stored) bool {
	if w.stored == nil || !w.file.Inherit(stored.File, w.patience) {
		return false
	}
	w.stored.mu.Lock()
	defer w.stored.mu.Unlock()
	w.stored.name = stored.Full()
	return true
}
