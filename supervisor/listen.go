package supervisor

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// listen opens the control socket. A state directory that takes nothing, not
// even a socket, must not keep the tokens from being kept: with a fallback
// directory, the socket is there then.
func (s *Supervisor) listen() (net.Listener, error) {
	socket := s.opts.Config.Control.Socket
	ln, err := s.opts.Seams.Listen(socket)
	if err == nil || !diskRefuses(err) {
		return ln, err
	}
	fallback := ControlFallback(s.opts.Config)
	if fallback == "" {
		return nil, fmt.Errorf("%w: set control.socket to a path on a disk that can be written, e.g. /run/tokenkeeper/control.sock", err)
	}
	ln, fallbackErr := s.opts.Seams.Listen(fallback)
	if fallbackErr != nil {
		return nil, fmt.Errorf("%w, and in the fallback directory: %w: set control.socket to a path on a disk that can be written, "+
			"e.g. /run/tokenkeeper/control.sock", err, fallbackErr)
	}
	s.log.Warn("the control socket is in the fallback directory, because the disk of the state directory takes nothing; "+
		"the program's own verbs look there, others must be told", "socket", fallback, "error", err)
	return ln, nil
}

// ControlFallback is where the control socket is when it can't be in the state
// directory; "": nowhere, because there is no fallback directory or the socket
// is elsewhere anyway.
func ControlFallback(cfg *config.Config) string {
	in, err := filepath.Rel(cfg.StateDir, cfg.Control.Socket)
	if cfg.FallbackDir == "" || err != nil || in == ".." || strings.HasPrefix(in, "../") {
		return ""
	}
	return filepath.Join(store.FallbackOf(cfg.StateDir, cfg.FallbackDir), filepath.Base(cfg.Control.Socket))
}

// diskRefuses says whether err is a disk's that takes nothing more.
func diskRefuses(err error) bool {
	for _, errno := range []unix.Errno{unix.EROFS, unix.ENOSPC, unix.EDQUOT, unix.EIO} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
