package control

import (
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
}

func openDoor(open func() (net.Listener, error)) (*Door, error) {
	ln, err := open()
	if err != nil {
		return nil, err
	}
	return &Door{open: open, now: ln}, nil
}

// Reopen opens the socket again if it is not at its path any more.
func (d *Door) Reopen() (reopened bool, err error) {
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
