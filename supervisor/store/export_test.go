package store

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// RetryAfter is for the tests of other packages.
const RetryAfter = retryAfter

// BreakFile makes the next write fail, as a lost disk does.
func (j *Journal) BreakFile() {
	j.mirror.mu.Lock()
	defer j.mirror.mu.Unlock()
	if j.mirror.file != nil {
		_ = j.mirror.file.file.Close()
	}
}

// StopWrites makes the next write fail, as a disk does that can only be read.
func (j *Journal) StopWrites() {
	j.mirror.mu.Lock()
	defer j.mirror.mu.Unlock()
	if f := j.mirror.file; f != nil {
		if reading, err := os.Open(j.mirror.at.file()); err == nil {
			_ = f.file.Close()
			f.file = reading
		}
	}
}

// Compact lets a file grow to that length and no further.
func (j *Journal) Compact(smallest int64) { j.mirror.smallest = smallest }

// Die lets go of everything as the end of the process does.
func (j *Journal) Die() {
	j.BreakFile()
	_ = j.mirror.close()
}

// ReadImage is what a state file holds, and why it is not believed.
func ReadImage(file []byte) (map[string][]byte, error) {
	img := readImage(file)
	values := map[string][]byte{}
	for key, v := range img.values {
		values[key] = v.value
	}
	return values, img.err
}

// Worn says whether not every frame of a good file has both of its copies.
func Worn(file []byte) bool { return readImage(file).worn }

// Frames are where in the log of a state file each frame begins, and its end.
func Frames(file []byte) (at []int64) {
	end := int64(0)
	for _, f := range readImage(file).frames {
		at = append(at, end)
		end += int64(f.size)
	}
	return append(at, end)
}

// Physical is where a byte of the log is in the file.
func Physical(lane int, at int64) int64 { return physical(lane, at) }

// SetFormat makes the file one of another format.
func SetFormat(path, version string) error {

	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		j, err := createJournal(path, fresh{sequence: 1, format: version, values: change{}})
		return errors.Join(err, j.file.Close())
	}
	img := readImage(b)
	for slot := range lanes {
		copy(b[slot*block:], head{version, img.sequence, int64(len(b))}.encode())
	}
	return errors.Join(err, os.WriteFile(path, b, 0o600))
}

// Hang makes each sync take that long.
func (j *Journal) Hang(d time.Duration) {
	j.mirror.file.fdatasync = func(fd int) error { time.Sleep(d); return unix.Fdatasync(fd) }
}
