package localsocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Dial connects to a Unix socket that others serve, and asks the kernel who does
// before anything is said to him: root, our own user, one of allow, or the owner of
// the socket's folder if nobody else can write there. Anybody else is a
// [*trust.PeerRefusal], and a link of a stranger on the way a [*trust.Refusal]: it
// could lead to a service of root that is not the one that is meant.
func Dial(ctx context.Context, path string, allow []int) (net.Conn, error) {
	real, held, err := reach(path, allow)
	if err != nil {
		return nil, err
	}
	defer func() { _ = held.Close() }()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", real)
	if err != nil {
		return nil, named(err, path)
	}
	peer, err := PeerOf(conn)
	if err != nil {
		err = fmt.Errorf("who serves the socket %s can't be told, and so nothing was sent to it: %w", path, err)
	} else {
		err = trust.Here().Peer(path, int(peer.UID), int(peer.PID), allow)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// named lets an error name the socket as who reads it knows it.
func named(err error, path string) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		op.Addr = &net.UnixAddr{Name: path, Net: "unix"}
	}
	return err
}

// reach holds what lies at a path, and says by which path to connect to what is
// held, wherever the first leads meanwhile (proc_pid_fd(5)).
func reach(path string, allow []int) (real string, held *os.File, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	if held, err = trust.Here().Reach(absolute, allow); err != nil {
		return "", nil, err
	}
	real = fmt.Sprintf("/proc/self/fd/%d", held.Fd())
	if _, err := os.Lstat(real); err != nil { // there is no /proc here: the kernel's word on the peer is left
		real = held.Name()
	}
	return real, held, nil
}

// Served says who may serve the socket at path without a call to him, by the owner
// of its file, who opened it: the error is that of [Dial], and wraps
// [io/fs.ErrNotExist] if nothing is there.
func Served(path string, allow []int) error {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	judge := trust.Here()
	held, err := judge.Reach(absolute, allow)
	if err != nil {
		return err
	}
	defer func() { _ = held.Close() }()
	info, err := held.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner can't be told", path)
	}
	return judge.Peer(path, int(st.Uid), 0, allow)
}

// Users reads the names or numbers of users, with commas between.
func Users(text string) ([]int, error) {
	var all []int
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		uid, err := strconv.ParseUint(word, 10, 31)
		if err != nil {
			u, err := user.Lookup(word)
			if err != nil {
				return nil, fmt.Errorf("this machine has no user %q: write its number", word)
			}
			if uid, err = strconv.ParseUint(u.Uid, 10, 31); err != nil {
				return nil, fmt.Errorf("user %q has no number: %w", word, err)
			}
		}
		all = append(all, int(uid))
	}
	return all, nil
}
