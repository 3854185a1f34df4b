package supervisor

import (
	"maps"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
)

// noteConfigured has the history tell which accounts there are from now on.
func (s *Supervisor) noteConfigured() (accounts []string) {
	there := s.roster.Now().Config
	accounts = slices.Sorted(maps.Keys(there.Accounts))
	s.history.Configured(accounts, slices.Sorted(maps.Keys(there.Sinks)))
	return accounts
}

// noteStanding has it tell how some stand that come now, with the supervisor or into its
// configuration: what came before may be in it no more. Of more than it has room for, it
// tells of those whom a death left in doubt, which nothing else in it does.
func (s *Supervisor) noteStanding(when string, names []string) {
	there := s.roster.Now()
	crowded := len(names) > history.MostStanding
	var lines []history.Line
	for _, name := range names {
		k, ok := there.KeeperOf(name)
		if !ok {
			continue
		}
		st, _ := k.Status(name)
		if crowded && st.RevokeUnknown.IsZero() {
			continue
		}
		lines = append(lines, history.Line{
			Event:    event.Event{Account: name, Provider: there.Config.Accounts[name].Provider, Version: st.Version, Expiry: st.Expiry},
			Standing: string(st.State), StoredAt: st.Record.StoredAt, RevokeAsked: st.RevokeUnknown,
		})
	}
	s.history.Stand(when, lines[:min(len(lines), history.MostStanding)])
}
