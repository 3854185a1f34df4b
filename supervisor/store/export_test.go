package store

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store/journal"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store/mirror"
)

// RetryAfter is how soon after a fresh file could not be written the next is tried.
const RetryAfter = mirror.RetryAfter

func (j *Journal) onDisk() *mirror.Mirror { return j.mirror.(*mirror.Mirror) }

// BreakFile makes the next write fail, as a lost disk does.
func (j *Journal) BreakFile() { j.reopen(unix.O_PATH) }

// StopWrites makes the next write fail, as a disk does that can only be read.
func (j *Journal) StopWrites() { j.reopen(unix.O_RDONLY) }

// reopen opens the file in another way, under the same descriptor.
func (j *Journal) reopen(how int) {
	j.onDisk().Harm(func(f *journal.File) {
		another, err := unix.Open(fmt.Sprint("/proc/self/fd/", f.Fd()), how|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Dup3(another, f.Fd(), unix.O_CLOEXEC)
		}
		if err != nil {
			panic(err)
		}
		_ = unix.Close(another)
	})
}

// Compact lets a file grow to that length and no further.
func (j *Journal) Compact(smallest int64) { j.onDisk().Smallest = smallest }

// Path is the file that the store is in: in the state directory or in the fallback directory.
func (j *Journal) Path() string { return j.onDisk().Path() }

// End is how long the log is.
func (j *Journal) End() (end int64) {
	j.onDisk().Harm(func(f *journal.File) { end = f.End() })
	return end
}

// Die lets go of everything as the end of the process does.
func (j *Journal) Die() {
	j.BreakFile()
	_ = j.onDisk().Close()
}

// Hang makes each sync take that long.
func (j *Journal) Hang(d time.Duration) { j.HangAs(func() time.Duration { return d }) }

// HangAs makes each sync take as long as is said when it begins.
func (j *Journal) HangAs(long func() time.Duration) {
	j.onDisk().Harm(func(f *journal.File) {
		f.Fdatasync = func(fd int) error { time.Sleep(long()); return unix.Fdatasync(fd) }
	})
}
