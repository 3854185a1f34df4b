package supervisor

import (
	"os"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// UnreadAnswer is an answer of a broker that nobody could read.
type UnreadAnswer struct {
	Provider string
	spool.Unread
}

// Unread lists the answers that were put aside in the spools of cfg.
func Unread(cfg *config.Config) ([]UnreadAnswer, error) {
	var all []UnreadAnswer
	for _, name := range cfg.ProviderNames() {
		dir, fallback := spoolDirs(cfg, name)
		for _, d := range []string{dir, fallback} {
			if d == "" {
				continue
			}
			found, err := spool.ListUnread(d)
			if err != nil {
				return nil, err
			}
			for _, u := range found {
				all = append(all, UnreadAnswer{name, u})
			}
		}
	}
	return all, nil
}

// unreadFile is where the unread answer of an attempt lies; "": nowhere.
func unreadFile(cfg *config.Config, provider, attempt string) string {
	if attempt == "" {
		return ""
	}
	dir, fallback := spoolDirs(cfg, provider)
	for _, d := range []string{dir, fallback} {
		if d == "" {
			continue
		}
		path := spool.UnreadPath(d, attempt)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}
