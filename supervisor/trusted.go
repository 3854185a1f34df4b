package supervisor

import (
	"fmt"
	"maps"
	"os"
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
	for _, c := range cfg.Sinks {
		if t, can := inspector(c); can {
			for _, g := range t.Grounds(c, cfg.SinkAccounts(c)) {
				look(g.Path, g.Rule)
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// ControlExposed says why the control socket of cfg is not opened: others could
// put one of their own in its place; nil: they can't.
func ControlExposed(cfg *config.Config) error {
	if err := localsocket.Refusal(cfg.Control.Socket, cfg.Control.TrustFolder); err != nil {
		return fmt.Errorf("the socket %s is not opened: %w", cfg.Control.Socket, err)
	}
	return nil
}

// ControlClosed says why no reader gets at the control socket of cfg; nil: one may, or
// there is none. Folders that are closed to all but one group, or open by an access
// control list, may be meant so.
func ControlClosed(cfg *config.Config) error {
	if len(cfg.Control.Readers) == 0 {
		return nil
	}
	for dir := filepath.Dir(cfg.Control.Socket); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode().Perm()&0o011 == 0 {
			return fmt.Errorf("no reader can get into %s, which has mode %04o: chmod 711 %[1]s; of a unit of systemd RuntimeDirectoryMode=0711", dir, info.Mode().Perm())
		}
	}
	return nil
}
