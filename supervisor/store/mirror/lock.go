package mirror

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// lockDir takes the lock that one supervisor at a time has on a directory (LOCK_EX), or
// those who look at it share (LOCK_SH). It is on the directory itself and not on a file in
// it, so that it holds while files are replaced, and leaves no trace.
func lockDir(dir string, how int, timeout time.Duration) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("the state directory can't be opened: %w", err)
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(int(d.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return d, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			err = fmt.Errorf("the state directory %s can't be locked (%w): it must be on a local disk", dir, err)
		case time.Since(start) < timeout:
			continue
		default:
			err = fmt.Errorf("%w: %s is locked by %s; stop that one first, or give this one a state directory of its own",
				ErrInUse, dir, lockholder.Find(dir))
		}
		_ = d.Close()
		return nil, err
	}
}
