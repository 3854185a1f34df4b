package spools

import (
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// Lookout finds where unread answers lie for those who can't wait for a disk that
// hangs. The zero value is ready.
type Lookout struct {
	mu   sync.Mutex
	last int
	open map[int]time.Time // the looks that have not come back
}

// patience is how long a disk is waited for. While it hangs nobody waits any more.
const patience = time.Second

// UnreadFile is where the unread answer of an attempt lies; "": nowhere, or nobody
// knows.
func (l *Lookout) UnreadFile(cfg *config.Config, provider, attempt string) string {
	if attempt == "" {
		return ""
	}
	return l.find(func() string { return unreadFile(cfg, provider, attempt) })
}

func (l *Lookout) find(look func() string) string {
	id, hangs := l.begin()
	if hangs {
		return ""
	}
	found := make(chan string, 1)
	go func() {
		defer l.end(id)
		found <- look()
	}()
	select {
	case path := <-found:
		return path
	case <-time.After(patience):
		return ""
	}
}

func (l *Lookout) begin() (id int, hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, since := range l.open {
		if time.Since(since) >= patience {
			return 0, true
		}
	}
	if l.open == nil {
		l.open = map[int]time.Time{}
	}
	l.last++
	l.open[l.last] = time.Now()
	return l.last, false
}

func (l *Lookout) end(id int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
}
