// Package accountfiles keeps the shared files of one supervisor's accounts: each is
// opened as it is configured, watched for what other programs write, and its lock
// is kept by the service manager while an attempt is under way.
package accountfiles

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/fdstore"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// Open opens a shared file of which nothing is kept: to look at it.
func Open(c config.SharedFile) (*sharedfile.File, error) {
	return open(c, sharedfile.Config{})
}

// Read returns what is in a shared file now, without its lock.
func Read(c config.SharedFile) (format.Document, error) {
	f, err := Open(c)
	if err != nil {
		return format.Document{}, err
	}
	return f.Read()
}

// open adds to kept what is configured.
func open(c config.SharedFile, kept sharedfile.Config) (*sharedfile.File, error) {
	location, err := moment.Zone(c.Timezone)
	if err != nil {
		return nil, fmt.Errorf("shared_file.timezone: %w", err)
	}
	kept.Path, kept.Lock, kept.Format, kept.Location = c.Path, c.Lock, c.Format, location
	kept.AllowUnsafe, kept.TrustFolder = c.UnsafeFilesystem, c.TrustFolder
	return sharedfile.New(kept)
}

// Files are those of one supervisor. They are safe for concurrent use.
type Files struct {
	stateDir string
	stored   *fdstore.Store // nil: there is no service manager that keeps locks
	log      *slog.Logger
	shelf    sharedfile.Shelf // for the locks of all of them

	mu      sync.Mutex
	watches map[string]Watch // by account
}

// New returns no files yet.
func New(stateDir string, stored *fdstore.Store, log *slog.Logger) *Files {
	return &Files{stateDir: stateDir, stored: stored, log: log, watches: map[string]Watch{}}
}

// Add opens the shared file of an account, which must have one. changed is called
// when another program may have written there, and must not wait.
func (f *Files) Add(c config.Account, changed func()) (*sharedfile.File, error) {
	w := Watch{account: c.Name, changed: changed, log: f.log}
	kept := sharedfile.Config{Note: sharedfile.NotePath(f.stateDir, c.Name), Shelf: &f.shelf}
	if f.stored != nil {
		w.stored = &storedLock{store: f.stored, account: c.Name, log: f.log}
		w.patience = c.Refresh.Timeout + inheritedFor
		kept.Deposit = w.stored
	}
	var err error
	if w.file, err = open(*c.SharedFile, kept); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches[c.Name] = w
	return w.file, nil
}

// Watch is the part of the supervisor that looks after the file of an account, which was
// added last.
func (f *Files) Watch(account string) Watch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.watches[account]
}

// Remember returns what makes the files be those that are there now again.
func (f *Files) Remember() (restore func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	was := maps.Clone(f.watches)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.watches = was
	}
}

// Watch looks after one account's shared file.
type Watch struct {
	file     *sharedfile.File
	account  string
	changed  func()
	log      *slog.Logger
	stored   *storedLock   // nil: nobody keeps its lock over a restart
	patience time.Duration // for which an inherited lock waits for the attempt to be settled
}

// leaving is for how long a disk that does not answer is waited for at the end.
const leaving = 2 * time.Second

// Run tells of every change until ctx ends. Where changes can't be watched, the
// regular look has to do. A look at a disk that does not answer is left behind.
func (w Watch) Run(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- w.watch(ctx) }()
	select {
	case err := <-ended:
		if err != nil && ctx.Err() == nil {
			w.log.Warn("the shared file is looked at every 30 s only", "account", w.account, "error", err)
			<-ctx.Done()
		}
		return nil
	case <-ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(leaving):
	}
	return nil
}

// watch fails also where something panics. The value may hold anything, a token too: its
// type and the stack have to do.
func (w Watch) watch(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.log.Error("a panic at the watch of a shared file", "account", w.account, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			err = fmt.Errorf("a panic of type %T, which is a defect of Tokenkeeper: please report it with what the log says", v)
		}
	}()
	return w.file.Watch(ctx, w.changed)
}
