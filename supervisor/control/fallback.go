package control

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// OpenDoor opens the control socket of cfg with at, nil: as [Listen] does, and for the
// readers that cfg names. A state
// directory that takes nothing, not even a socket, must not keep the tokens from
// being kept: with a fallback directory, the socket is there then.
func OpenDoor(cfg *config.Config, at func(socket string) (net.Listener, error), log *slog.Logger) (*Door, error) {
	if at == nil {
		at = func(socket string) (net.Listener, error) { return Listen(socket, cfg.Control) }
	}
	return openDoor(func() (net.Listener, error) {
		ln, err := at(cfg.Control.Socket)
		if err == nil || !diskRefuses(err) {
			return ln, err
		}
		fallback := Fallback(cfg)
		if fallback == "" {
			return nil, fmt.Errorf("%w: set control.socket to a path on a disk that can be written, e.g. /run/tokenkeeper/control.sock", err)
		}
		ln, fallbackErr := at(fallback)
		if fallbackErr != nil {
			return nil, fmt.Errorf("%w, and in the fallback directory: %w: set control.socket to a path on a disk that can be written, "+
				"e.g. /run/tokenkeeper/control.sock", err, fallbackErr)
		}
		log.Warn("the control socket is in the fallback directory, because the disk of the state directory takes nothing; "+
			"the program's own verbs look there, others must be told", "socket", fallback, "error", err)
		return ln, nil
	})
}

// Fallback is where the control socket is when it can't be in the state
// directory; "": nowhere, because there is no fallback directory or the socket
// is elsewhere anyway.
func Fallback(cfg *config.Config) string {
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
