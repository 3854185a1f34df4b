package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// Displaced is what somebody else has done to the state file, or to its directory, while
// it is in use. What is written there from then on would be found by nobody, or by nobody
// whole.
type Displaced string

func (d Displaced) Error() string { return string(d) }

// Overwritten: the file is in its place, and is not as it was left.
const Overwritten Displaced = "something else has written into the state file"

// trace is what a state file looks like from outside.
type trace struct {
	info fs.FileInfo
	// heads are the beginnings of its heads, one of which changes with every
	// append.
	heads [block + headLength]byte
}

// sameTimes says whether the file's length and times are those of the trace.
func (t trace) sameTimes(info fs.FileInfo) bool {
	return t.info.Size() == info.Size() && t.info.ModTime().Equal(info.ModTime())
}

// look returns the trace of the file as it is now.
func (j *File) look() (t trace, err error) {
	if t.info, err = j.file.Stat(); err == nil {
		// What is behind the end counts as zeros, which no head is.
		if _, err = j.file.ReadAt(t.heads[:], 0); errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		return t, fmt.Errorf("looking at the state file: %w", err)
	}
	return t, nil
}

// leave notes how the file is left. Nobody else may have changed the head that was
// not written.
func (j *File) leave() (err error) {
	before := j.left
	if j.left, err = j.look(); err != nil {
		return err
	}
	other := (int(j.last.Sequence%lanes) + 1) % lanes * block
	if before.info != nil && !bytes.Equal(before.heads[other:][:headLength], j.left.heads[other:][:headLength]) {
		return Overwritten
	}
	return nil
}

// Untouched sees whether the file, to which path leads, is as it was left: Overwritten if
// it is not; any other error is the disk's. There is what path leads to, nil: not known.
func (j *File) Untouched(path string, there fs.FileInfo) error {
	now, err := j.look()
	switch {
	case err != nil:
		return err
	case now.heads != j.left.heads:
		return Overwritten
	case j.left.sameTimes(now.info) && (there == nil || j.left.sameTimes(there)):
		return nil
	}
	// Times alone prove nothing: a program may set them, and not every file
	// system keeps them.
	if Verify(path, j.last) != nil {
		return Overwritten
	}
	j.left = now
	return nil
}
