package control

import (
	"log/slog"
	"net"
	"sync"
)

// Door is the control socket. When somebody has removed or replaced what stood
// at its path it is opened again, and who is connected stays so.
type Door struct {
	open func() (net.Listener, error)

	mu     sync.Mutex
	now    net.Listener
	closed bool

	looking sync.Mutex
	shut    string // why it could not be opened again at the last look; looking guards it
}

func openDoor(open func() (net.Listener, error)) (*Door, error) {
	ln, err := open()
	if err != nil {
		return nil, err
	}
	return &Door{open: open, now: ln}, nil
}

// Look sees whether the socket still is where it was put, and tells.
func (d *Door) Look(log *slog.Logger) {
	d.looking.Lock()
	defer d.looking.Unlock()
	reopened, err := d.reopen()
	switch {
	case reopened:
		d.shut = ""
		log.Warn("the control socket had been removed or replaced, and was opened again", "socket", d.Addr())
	case err != nil && err.Error() != d.shut:
		d.shut = err.Error()
		log.Error("the control socket was removed or replaced and can't be opened again, so the verbs do not reach this process; "+
			"it is tried again all the time, and everything else goes on", "error", err)
	}
}

// reopen opens the socket again if it is not at its path any more.
func (d *Door) reopen() (reopened bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, ok := d.now.(interface{ Stands() bool })
	if d.closed || !ok || at.Stands() {
		return false, nil
	}
	ln, err := d.open()
	if err != nil {
		return false, err
	}
	before := d.now
	d.now = ln
	_ = before.Close()
	return true, nil
}

func (d *Door) current() net.Listener {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

// Accept implements [net.Listener].
func (d *Door) Accept() (net.Conn, error) {
	for {
		ln := d.current()
		conn, err := ln.Accept()
		if err == nil || ln == d.current() {
			return conn, err
		}
	}
}

// Addr implements [net.Listener].
func (d *Door) Addr() net.Addr { return d.current().Addr() }

// Close implements [net.Listener].
func (d *Door) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return d.now.Close()
}
