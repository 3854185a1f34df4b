package backend

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// Stored is of every account that has a token what the store knows, while no
// supervisor runs: its version and grant, and the answers that were set aside. It
// changes nothing. Its errors are those of [store.Peek].
func Stored(cfg *config.Config, now time.Time) ([]control.Account, error) {
	records, err := leftover.Records(cfg)
	var all []control.Account
	for _, r := range records {
		all = append(all, control.Account{
			Name: r.Account, Provider: r.Provider, Shown: refresh.Shown{Version: r.Version, Origin: r.Origin, Grant: r.Grant}, SetAside: setAside(r, now),
		})
	}
	return all, err
}
