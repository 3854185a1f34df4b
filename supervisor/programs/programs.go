// Package programs finds the program of each provider and of each sink that is a
// plugin, and says how its process is started.
package programs

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
)

// OfProvider returns how a provider's process is started: by the command that the
// configuration names, or else by its binary in the plugin directory, or else
// as a part of this program. The error says where it was looked for.
func OfProvider(cfg *config.Config, provider string, builtin func(string) ([]string, bool)) (*process.Command, error) {
	p := cfg.Providers[provider]
	c := &process.Command{
		Name: provider, Trust: cfg.Trust, SHA256: p.SHA256, Slots: max(p.MaxInFlight, 1),
		SocketDir: filepath.Join(cfg.StateDir, "sockets"), Secrets: hearsay.NewDeclared(cfg.SecretSettings),
	}
	c.SpoolDir, c.SpoolFallback = spools.Dirs(cfg, provider)
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

// Predecessor is a process of the provider that an earlier supervisor has
// started.
func Predecessor(cfg *config.Config, provider string, log *slog.Logger) *process.Predecessor {
	dir, fallback := spools.Dirs(cfg, provider)
	p := &process.Predecessor{
		Name: provider, SpoolDir: dir, SpoolFallback: fallback, Log: log,
		Programs: []string{"provider-" + provider, config.ProviderBinary + provider}, // built in, or not
	}
	if c := cfg.Providers[provider].Command; len(c) > 0 {
		p.Programs = append(p.Programs, filepath.Base(c[0]))
	}
	return p
}
