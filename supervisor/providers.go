package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// handOver is how long the next supervisor may take to come, after one was
// killed. So long bots wait, at most, beside the time of the attempt itself.
const handOver = time.Minute

// predecessor is a process of the provider that an earlier supervisor has
// started; nil where processes are in memory, and end with it.
func (s *Supervisor) predecessor(provider string) *process.Predecessor {
	if s.opts.Seams.Launcher != nil {
		return nil
	}
	dir, fallback := spoolDirs(s.opts.Config, provider)
	p := &process.Predecessor{
		Name: provider, SpoolDir: dir, SpoolFallback: fallback, Log: s.log,
		Programs: []string{"provider-" + provider, config.ProviderBinary + provider}, // built in, or not
	}
	if c := s.opts.Config.Providers[provider].Command; len(c) > 0 {
		p.Programs = append(p.Programs, filepath.Base(c[0]))
	}
	return p
}

// spoolDirs are the directories of one provider's spool; fallback is "" if there
// is none.
func spoolDirs(cfg *config.Config, provider string) (dir, fallback string) {
	if cfg.FallbackDir != "" {
		fallback = spoolDir(store.FallbackOf(cfg.StateDir, cfg.FallbackDir), provider)
	}
	return spoolDir(cfg.StateDir, provider), fallback
}

// Command returns how a provider's process is started: by the command that the
// configuration names, or else by its binary in the plugin directory, or else
// as a part of this program. The error says where it was looked for.
func Command(cfg *config.Config, provider string, builtin func(string) ([]string, bool)) (*process.Command, error) {
	p := cfg.Providers[provider]
	c := &process.Command{
		Name: provider, Trust: cfg.Trust, SHA256: p.SHA256, Slots: max(p.MaxInFlight, 1),
		SocketDir: filepath.Join(cfg.StateDir, "sockets"), Secrets: hearsay.NewDeclared(cfg.SecretSettings),
	}
	c.SpoolDir, c.SpoolFallback = spoolDirs(cfg, provider)
	inDir := filepath.Join(cfg.Plugins.Dir, config.ProviderBinary+provider)
	switch {
	case len(p.Command) > 0:
		c.Path, c.Args = p.Command[0], p.Command[1:]
	case cfg.Plugins.Dir != "" && exists(inDir):
		c.Path = inDir
	default:
		argv, ok := builtin(provider)
		if !ok {
			return nil, fmt.Errorf("provider %s: there is no %s, no providers.%s.command, and it is not built in; "+
				"put the plugin there or correct the account's provider", provider, inDir, provider)
		}
		c.Path, c.Args = argv[0], argv[1:]
	}
	return c, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
