package survey

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// worstFirst are the states of accounts that are not well, and what a line calls
// them.
var worstFirst = []struct {
	state refresh.State
	words string
}{
	{refresh.NeedsLogin, "needs login"},
	{refresh.Expired, "expired"},
	{refresh.Paused, "paused"},
	{refresh.Retrying, "retrying"},
	{refresh.New, "no token yet"},
}

// Standing says in one line how the accounts are, those that are worst first.
func (s *Survey) Standing() string {
	tally, there := refresh.Tally{}, s.cfg.Roster.Now()
	for _, name := range slices.Sorted(maps.Keys(there.Keepers)) {
		tally.Add(there.Keepers[name])
	}
	var parts []string
	for _, w := range worstFirst {
		if of := tally[w.state]; of.Count > 0 {
			parts = append(parts, w.words+": "+some(of.Names, of.Count))
		}
	}
	valid, all := tally[refresh.Valid].Count, len(there.Config.Accounts)
	switch {
	case len(parts) > 0:
		return strings.Join(append(parts, fmt.Sprintf("valid: %d of %d", valid, all)), "; ")
	case all == 1:
		return "the account is valid"
	default:
		return fmt.Sprintf("all %d accounts are valid", all)
	}
}

// Awaited says for which answers of brokers a stop has to wait, and how long at
// most; "": for none.
func (s *Survey) Awaited() string {
	const most = 10
	var names []string
	var last time.Time
	for _, k := range s.cfg.Roster.Now().Keepers {
		names = append(names, refresh.Flying(k)...)
		if d := k.Deadline(); d.After(last) {
			last = d
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("the broker's answer about %s, which takes %s at most",
		some(names[:min(most, len(names))], len(names)), max(time.Until(last).Round(time.Second), 0))
}

// some names the first of so many.
func some(names []string, count int) string {
	text := strings.Join(names, ", ")
	if more := count - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
