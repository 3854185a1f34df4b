package sdk

import (
	"log/slog"
	"os"
	"strconv"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/lockloan"
)

// estate is how the locks of attempts that were answered get from a provider
// whose supervisor is dead to the next one. The zero value: they don't, and are
// free when the process ends.
type estate struct {
	dirs []string // of the spool, where the next supervisor asks
	wait time.Duration
}

// longestHandOver bounds how long a bot may have to wait for nobody.
const longestHandOver = 10 * time.Minute

// ownEstate is what the supervisor has told this process.
func ownEstate() estate {
	seconds, err := strconv.Atoi(os.Getenv(EnvHandOver))
	if err != nil || seconds <= 0 {
		return estate{}
	}
	e := estate{wait: min(time.Duration(seconds)*time.Second, longestHandOver)}
	for _, name := range []string{EnvSpoolDir, EnvSpoolFallback} {
		if dir := os.Getenv(name); dir != "" {
			e.dirs = append(e.dirs, dir)
		}
	}
	return e
}

// offer begins to offer the locks of the attempts that are in flight or answered
// and not settled. The returned function is for when nothing is in flight any
// more: it waits for the next supervisor.
func (e estate) offer(locks *lockloan.Borrower, log *slog.Logger) (wait func()) {
	if e.wait <= 0 {
		return func() {}
	}
	var failed error
	for _, dir := range e.dirs {
		o, err := locks.Offer(dir)
		if err == nil {
			return func() {
				o.Wait(e.wait)
				_ = o.Close()
			}
		}
		failed = err
	}
	log.Warn("the locks of shared files can't be offered to the next supervisor", "error", failed)
	return func() {}
}
