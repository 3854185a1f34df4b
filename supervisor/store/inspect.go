package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
)

// Inspect says what is wrong with the state file in a directory, without
// changing anything: ErrDamaged, ErrNewerFormat, or that it is open to others.
// A file that is not there is in order. While a supervisor has the directory
// nothing can be said about it: ErrInUse.
func Inspect(dir string) error {
	_, err := inspect(dir)
	return err
}

// Records reads the records in a directory while no supervisor has it, without
// changing anything. Its errors are those of [Inspect].
func Records(dir string) (all []Record, err error) {
	s, err := inspect(dir)
	if err != nil {
		return nil, err
	}
	return s.state.records(), nil
}

// OwnerOf is [Journal.Owner] of the store in a directory, without changing anything. Its
// errors are those of [Inspect].
func OwnerOf(dir string) (machine.Owner, error) {
	s, err := inspect(dir)
	if err != nil {
		return machine.Owner{}, err
	}
	return s.state.owner, nil
}

// inspect reads the state file in a directory.
func inspect(dir string) (s source, err error) {
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return source{image: readImage(nil), state: newState()}, nil
	}
	if err != nil {
		return s, fmt.Errorf("the state directory can't be opened: %w", err)
	}
	defer func() { _ = d.Close() }()
	// Shared: two who look do not disturb each other. It is held for as long as
	// the file is read, which is less than a supervisor that starts waits.
	if err := unix.Flock(int(d.Fd()), unix.LOCK_SH|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return s, inUse(dir)
		}
		return s, fmt.Errorf("the state directory %s can't be locked (%w): it must be on a local disk", dir, err)
	}
	p := &place{dir: dir}
	if err := checkFile(p.file()); err != nil {
		return s, err
	}
	s, err = readSource(p.file())
	if err != nil {
		return s, err
	}
	if s.moved != "" && s.err == nil {
		return s, fmt.Errorf("%w to %s", ErrMoved, s.moved)
	}
	if s.err != nil {
		return s, fmt.Errorf("the state file %s: %w", s.path, s.err)
	}
	return s, nil
}
