package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// Trusted lists, in words for people, which other users are trusted with what
// cfg delivers, because folders are theirs. What is missing or refused is not
// among them: see [Obstacles].
func Trusted(cfg *config.Config) []string {
	judge := trust.Here()
	found := map[string]bool{}
	look := func(path string, rule trust.Rule) {
		path, err := filepath.Abs(path)
		if err != nil {
			return
		}
		if grounds, err := judge.Examine(filepath.Dir(path), rule); err == nil {
			if text := judge.Describe(grounds); text != "" {
				found[text] = true
			}
		}
	}
	if state, err := filepath.Abs(cfg.StateDir); err == nil {
		if grounds, err := judge.Private(state); err == nil {
			if text := judge.Describe(grounds); text != "" {
				found[text] = true
			}
		}
	}
	look(cfg.Control.Socket, trust.Rule{OpenFolder: cfg.Control.TrustFolder})
	for _, a := range cfg.Accounts {
		if a.SharedFile != nil {
			look(a.SharedFile.Path, trust.Rule{OpenFolder: a.SharedFile.TrustFolder})
			look(a.SharedFile.Lock, trust.Rule{OpenFolder: a.SharedFile.TrustFolder})
		}
	}
	for _, s := range cfg.Sinks {
		if signal := signalOf(s); signal != nil {
			look(signal.PIDFile, trust.Rule{OpenFolder: signal.TrustFolder})
		}
		switch {
		case s.File != nil:
			f, err := blankFile(s)
			if err != nil {
				continue
			}
			for _, a := range cfg.SinkAccounts(s) {
				if path, err := f.PathOf(a.Name, a.Provider); err == nil {
					look(path, trust.Rule{OpenFolder: s.File.TrustFolder})
				}
			}
		case s.UnixSocket != nil && s.UnixSocket.Listen == nil:
			look(s.UnixSocket.Path, trust.Rule{Users: s.UnixSocket.AllowUIDs})
		case s.UnixSocket != nil:
			look(s.UnixSocket.Path, trust.Rule{OpenFolder: s.UnixSocket.Listen.TrustFolder})
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// strangers are the sockets of cfg that somebody has opened to whom nothing
// will be sent. They are not connected to, because many a consumer takes a
// connection that says nothing for an error: who opened a socket owns its file.
func strangers(cfg *config.Config) []Obstacle {
	var found []Obstacle
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		s := cfg.Sinks[name].UnixSocket
		if s == nil || s.Listen != nil {
			continue
		}
		err := localsocket.Served(s.Path, s.AllowUIDs)
		var peer *trust.PeerRefusal
		var link *trust.Refusal
		switch {
		case errors.As(err, &peer):
			found = append(found, Obstacle{Sink: name, Err: fmt.Errorf("%w; if that is the right one, write allow_uids: [%s]", err, peer.Key)})
		case errors.As(err, &link):
			found = append(found, Obstacle{Sink: name, Err: err})
		}
	}
	return found
}

// exposed are the sockets of sinks that consumers connect to and in whose place
// others could put one of their own.
func exposed(cfg *config.Config) []Obstacle {
	var found []Obstacle
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		if s := cfg.Sinks[name].UnixSocket; s != nil && s.Listen != nil {
			if err := refusalOf(s.Path, s.Listen.TrustFolder); err != nil {
				found = append(found, Obstacle{Sink: name, Err: fmt.Errorf("the socket %s is not opened: %w", s.Path, err)})
			}
		}
	}
	return found
}

// signalOf is the signal of a sink; nil: it has none.
func signalOf(s config.Sink) *config.Signal {
	switch {
	case s.File != nil:
		return s.File.Signal
	case s.Exec != nil:
		return s.Exec.Signal
	}
	return nil
}

// pidfiles are those by which others could have programs signalled.
func pidfiles(cfg *config.Config) []Obstacle {
	var found []Obstacle
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		signal := signalOf(cfg.Sinks[name])
		if signal == nil {
			continue
		}
		program, err := newSignaller(*signal)
		if err == nil {
			err = program.Trusted()
		}
		if err != nil {
			found = append(found, Obstacle{Sink: name, Key: "signal.pidfile", Err: fmt.Errorf("nobody is signalled: %w", err)})
		}
	}
	return found
}

// ControlExposed says why the control socket of cfg is not opened: others could
// put one of their own in its place; nil: they can't.
func ControlExposed(cfg *config.Config) error {
	if err := refusalOf(cfg.Control.Socket, cfg.Control.TrustFolder); err != nil {
		return fmt.Errorf("the socket %s is not opened: %w", cfg.Control.Socket, err)
	}
	return nil
}

// refusalOf leaves out what is missing or can't be looked at.
func refusalOf(socket string, trustFolder bool) error {
	err := localsocket.Trusted(socket, trustFolder)
	if refusal := (*trust.Refusal)(nil); errors.As(err, &refusal) {
		return err
	}
	return nil
}
