package survey

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// TellTokenless says in the log, in one line, for which accounts nothing can be
// done before a person does something: for those without a shared file, or with
// one, in which their first token may stand that was not looked for yet.
func (s *Survey) TellTokenless(shared bool, log *slog.Logger) {
	there := s.cfg.Roster.Now()
	var names []string
	for name, c := range there.Config.Accounts {
		if st, _ := there.Keepers[c.Provider].Status(name); st.State == refresh.New && !mints(there, c.Provider) && shared == (c.SharedFile != nil) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	const most = 10
	few := some(names[:min(most, len(names))], len(names))
	first, _ := there.Keepers[there.Config.Accounts[names[0]].Provider].Status(names[0])
	log.Warn(fmt.Sprintf("no token yet of: %s; %s", few, first.Advice()), "accounts", len(names))
}

// mints says whether a provider gets tokens by itself for accounts that have none.
func mints(there *roster.Present, provider string) bool {
	m, ok := there.Members[provider]
	return ok && m.Status().Description.Minter
}
