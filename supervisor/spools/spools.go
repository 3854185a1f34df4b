// Package spools knows where the spool of each provider is, and what lies in it
// that nobody could read.
package spools

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Dirs are the directories of one provider's spool; fallback is "" if there is
// none.
func Dirs(cfg *config.Config, provider string) (dir, fallback string) {
	if cfg.FallbackDir != "" {
		fallback = dirIn(store.FallbackOf(cfg.StateDir, cfg.FallbackDir), provider)
	}
	return dirIn(cfg.StateDir, provider), fallback
}

func dirIn(stateDir, provider string) string {
	return filepath.Join(stateDir, "spool", provider)
}

// places are those of Dirs that there are.
func places(cfg *config.Config, provider string) []string {
	dir, fallback := Dirs(cfg, provider)
	if fallback == "" {
		return []string{dir}
	}
	return []string{dir, fallback}
}

// UnreadAnswer is an answer of a broker that nobody could read.
type UnreadAnswer struct {
	Provider string
	spool.Unread
}

// Unread lists the answers that were put aside in the spools of cfg.
func Unread(cfg *config.Config) ([]UnreadAnswer, error) {
	var all []UnreadAnswer
	for _, name := range cfg.ProviderNames() {
		for _, dir := range places(cfg, name) {
			found, err := spool.ListUnread(dir)
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
	for _, dir := range places(cfg, provider) {
		path := spool.UnreadPath(dir, attempt)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// OfAccount is what lies in a provider's spool of an account: attempts that are not
// settled, and answers that nobody could read.
func OfAccount(cfg *config.Config, provider, account string) (open []spool.Entry, unread []spool.Unread, err error) {
	for _, dir := range places(cfg, provider) {
		slots, err := spool.ListSlots(dir)
		if err != nil {
			return nil, nil, err
		}
		aside, err := spool.ListUnread(dir)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range slots {
			if e.Account == account {
				open = append(open, e)
			}
		}
		for _, u := range aside {
			if u.Account == account {
				unread = append(unread, u)
			}
		}
	}
	return open, unread, nil
}

// Free frees the slot of an attempt in the spool of a provider of which no process runs,
// whatever it holds.
func Free(ctx context.Context, cfg *config.Config, provider, attempt string) error {
	dir, fallback := Dirs(cfg, provider)
	open := func() (*spool.Spool, error) { return spool.Open(ctx, dir, 0) }
	if fallback != "" {
		open = func() (*spool.Spool, error) { return spool.OpenWithFallback(ctx, dir, fallback, 0) }
	}
	s, err := open()
	if err != nil {
		return err
	}
	return errors.Join(s.Settle(attempt, false), s.Close())
}
