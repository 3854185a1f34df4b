package files

import (
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Irregular is the error about something that only looks like a file, by its mode.
type Irregular fs.FileMode

func (i Irregular) Error() string { return "it is " + Kind(fs.FileMode(i)) }

// Kind says for people what a mode is of.
func Kind(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return "a file"
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a pipe (FIFO) and no file"
	case mode&fs.ModeSocket != 0:
		return "a socket and no file"
	case mode&fs.ModeDevice != 0:
		return "a device and no file"
	}
	return "not a regular file"
}

// ReadWhole reads a regular file of at most limit bytes. It waits for nobody: of a
// pipe, which a read would hang at until somebody writes, the error is an
// [Irregular].
func ReadWhole(path string, limit int64) ([]byte, fs.FileInfo, error) {
	refuse := func(err error) error { return &fs.PathError{Op: "read", Path: path, Err: err} }
	info, err := os.Stat(path) // to open a device may do something already
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, refuse(Irregular(info.Mode()))
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, info, err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, info, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, refuse(Irregular(info.Mode()))
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, info, refuse(fmt.Errorf("it is larger than %d MiB", limit>>20))
	}
	return data, info, err
}
