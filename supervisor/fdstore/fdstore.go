// Package fdstore keeps descriptors over a restart of the service: systemd holds
// copies of them meanwhile (FDSTORE=1 in sd_notify(3), FileDescriptorStoreMax= in
// systemd.service(5)). It gives them up when the service is stopped.
package fdstore

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// toldWithin bounds the wait for a service manager that takes nothing.
const toldWithin = time.Second

// Store is the service manager's; nil, where there is none, keeps nothing.
type Store struct {
	socket   string
	received []Stored
}

// Stored is a descriptor that the store held at the start.
type Stored struct {
	// Name without the time.
	Name string
	// At is when it was stored, to the second.
	At   time.Time
	File *os.File

	full string
}

// Open returns the store of the service manager that runs this process, with
// what it has kept from before; nil: nobody does. It clears the variables of
// that from the environment, so that nobody else looks for the descriptors.
func Open() *Store {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	s := &Store{socket: socket}
	for _, f := range activation.Files(true) {
		s.received = append(s.received, stored(f))
	}
	return s
}

// Managed says whether a service manager started this process itself, and so
// waits for all processes of the service to end before it starts it again.
func Managed() bool {
	return os.Getenv("NOTIFY_SOCKET") != "" || os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid())
}

// Received hands out, once, what was kept from before. What its caller has no
// use for he drops.
func (s *Store) Received() []Stored {
	if s == nil {
		return nil
	}
	all := s.received
	s.received = nil
	return all
}

// Close drops what nobody has taken.
func (s *Store) Close() error {
	var errs []error
	for _, f := range s.Received() {
		errs = append(errs, s.Drop(f))
	}
	return errors.Join(errs...)
}

// Drop closes a descriptor, here and in the store.
func (s *Store) Drop(f Stored) error { return errors.Join(f.File.Close(), s.Remove(f.full)) }

// Put stores a copy of fd, and returns the name by which it is removed: name
// with the time. Whether the service manager has room for it can't be known.
func (s *Store) Put(name string, fd int) (full string, err error) {
	full = name + timeMark + strconv.FormatInt(time.Now().Unix(), 10)
	return full, s.tell("FDSTORE=1\nFDPOLL=0\nFDNAME="+full, unix.UnixRights(fd))
}

// Remove removes what was stored by that name.
func (s *Store) Remove(full string) error {
	return s.tell("FDSTOREREMOVE=1\nFDNAME="+full, nil)
}

func (s *Store) tell(state string, rights []byte) error {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(socket)
		patience := unix.NsecToTimeval(toldWithin.Nanoseconds())
		_ = unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &patience)
		for {
			_, err = unix.SendmsgN(socket, []byte(state), rights, &unix.SockaddrUnix{Name: s.socket}, unix.MSG_NOSIGNAL)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
	if err != nil {
		return fmt.Errorf("tell the service manager which descriptors to keep: %w", err)
	}
	return nil
}

// timeMark stands between the name and the time, in seconds since 1970.
const timeMark = "@"

func stored(f *os.File) Stored {
	name, at, _ := strings.Cut(f.Name(), timeMark)
	seconds, _ := strconv.ParseInt(at, 10, 64)
	return Stored{Name: name, At: time.Unix(seconds, 0), File: f, full: f.Name()}
}

// Full is the name by which it is removed.
func (f Stored) Full() string { return f.full }
