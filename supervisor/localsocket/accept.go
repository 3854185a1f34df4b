package localsocket

import (
	"errors"
	"net"
	"syscall"
)

// NoRoom says whether an error of accept says nothing of the socket: this process or
// its machine has no room for one more connection now, or who connected is gone.
func NoRoom(err error) bool {
	for _, one := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOBUFS, syscall.ECONNABORTED} {
		if errors.Is(err, one) {
			return true
		}
	}
	return false
}

// Patient is a listener for net/http, which serves on, with pauses, after an error that
// says that it is temporary, and ends after any other.
type Patient struct{ net.Listener }

// Accept implements [net.Listener].
func (p Patient) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if NoRoom(err) {
		return nil, noRoom{err}
	}
	return conn, err
}

type noRoom struct{ error }

func (e noRoom) Unwrap() error { return e.error }
func (noRoom) Temporary() bool { return true }
func (noRoom) Timeout() bool   { return false }
