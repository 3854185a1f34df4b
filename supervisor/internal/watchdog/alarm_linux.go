package watchdog

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm ticks on the machine's wall clock: at a fixed interval and also as soon
// as that clock is set, or the machine wakes up from sleep.
//
// It is the kernel's timer and not one of Go's, which the runtime wakes up for
// several times around the moment: an idle supervisor does nothing else.
type alarm struct {
	file  *os.File
	conn  syscall.RawConn
	every time.Duration
}

// newAlarm returns an alarm whose first tick is due after one interval. The
// caller closes it.
func newAlarm(every time.Duration) (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make a timer: %w", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timer"), every: every}
	if a.conn, err = a.file.SyscallConn(); err == nil {
		err = a.set()
	}
	if err != nil {
		_ = a.close()
		return nil, fmt.Errorf("set a timer: %w", err)
	}
	return a, nil
}

// set starts the interval anew. Its moments are moments of the wall clock,
// because only such a timer tells that the clock was set (timerfd_create(2)).
func (a *alarm) set() error {
	every := unix.NsecToTimespec(int64(a.every))
	first := unix.NsecToTimespec(time.Now().Add(a.every).UnixNano())
	return a.control(func(fd uintptr) error {
		return unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET,
			&unix.ItimerSpec{Interval: every, Value: first}, nil)
	})
}

func (a *alarm) control(do func(fd uintptr) error) error {
	var failed error
	if err := a.conn.Control(func(fd uintptr) { failed = do(fd) }); err != nil {
		return err
	}
	return failed
}

// wait returns at the next tick, or with an error once the alarm is closed.
func (a *alarm) wait() error {
	var errno syscall.Errno
	err := a.conn.Read(func(fd uintptr) (done bool) {
		var ticks uint64
		// The call does not block, and the runtime need not get ready for
		// one that does.
		_, _, errno = unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&ticks)), unsafe.Sizeof(ticks))
		return errno != unix.EAGAIN
	})
	switch {
	case err != nil:
		return err
	case errno == unix.ECANCELED: // the clock was set, and the timer's moments with it
		return a.set()
	case errno != 0:
		return errno
	}
	return nil
}

func (a *alarm) close() error { return a.file.Close() }

// ticks returns a channel that gets a value at every tick, and closes the alarm
// when ctx ends.
func (a *alarm) ticks(ctx context.Context) <-chan time.Time {
	c := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() { _ = a.close() })
	go func() {
		for {
			if err := a.wait(); err != nil && ctx.Err() == nil {
				select { // whatever happened, the clock has to be looked at
				case <-ctx.Done():
				case <-time.After(a.every):
				}
			}
			if ctx.Err() != nil {
				return
			}
			select {
			case c <- time.Now():
			default:
			}
		}
	}()
	return c
}
