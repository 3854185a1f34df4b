package supervisor

import (
	"maps"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// noteStanding has the history begin with how every account stands: what came before may
// be in it no more.
func (s *Supervisor) noteStanding() {
	there := s.roster.Now()
	names := slices.Sorted(maps.Keys(there.Config.Accounts))
	s.history.Configured(names, slices.Sorted(maps.Keys(there.Config.Sinks)))
	if len(names) > history.MostStanding { // whom nobody need ask
		return
	}
	var lines []history.Line
	for _, name := range names {
		k, ok := there.KeeperOf(name)
		if !ok {
			continue
		}
		st, _ := k.Status(name)
		lines = append(lines, history.Line{
			Event:    event.Event{Account: name, Provider: there.Config.Accounts[name].Provider, Version: st.Version, Expiry: st.Expiry},
			Standing: string(st.State), StoredAt: st.Record.StoredAt,
		})
	}
	s.history.Stand(lines)
}
