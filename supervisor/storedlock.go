package supervisor

import (
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
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

// inheritLocks gives each account the lock of its shared file that the service
// manager has kept since an attempt that was cut off. What belongs to no account
// any more, or has waited for too long, is given back.
func (s *Supervisor) inheritLocks() {
	for _, stored := range s.opts.Stored.Received() {
		account, isLock := strings.CutPrefix(stored.Name, lockName)
		w, known := s.shared[account]
		if isLock && known && w.stored != nil && time.Since(stored.At).Abs() < longestStored && w.inherit(stored) {
			s.log.Info("the lock of the shared file was kept by the service manager since an attempt that was cut off", "account", account)
			continue
		}
		if err := s.opts.Stored.Drop(stored); err != nil {
			s.log.Warn("a lock that the service manager has kept could not be given back", "account", account, "error", err)
		}
	}
}

// inherit takes over a lock that is in the store.
func (w sharedWatch) inherit(stored fdstore.Stored) bool {
	s := w.supervisor
	if !w.file.Inherit(stored.File, s.opts.Config.Accounts[w.account].Refresh.Timeout+inheritedFor) {
		return false
	}
	w.stored.mu.Lock()
	defer w.stored.mu.Unlock()
	w.stored.name = stored.Full()
	return true
}

// deposit is where an account's lock is kept for the attempt; nil: nowhere.
func (s *Supervisor) deposit(account string) (*storedLock, sharedfile.Deposit) {
	if s.opts.Stored == nil {
		return nil, nil
	}
	l := &storedLock{store: s.opts.Stored, account: account, log: s.log}
	return l, l
}
