package alert

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// When a broker fails, so do all of its accounts. Instead of an alert for each,
// one group alert is raised then: for one type of trouble at one provider. It is
// an alert like any other, with a key of its own.

const (
	// groupAbove is the default of [Policy.GroupAbove].
	groupAbove = 10
	// stormSpan is how long before a group alert an alert of its type may have
	// begun and still be a part of the same storm: the accounts of a broker
	// that fails are not all due at once. What has lasted for longer is no
	// storm, and has no other alert kept back.
	stormSpan = time.Hour
	// settling is how long after a restart an account whose state is not known
	// yet may be one of those that a group alert stands for: longer than access
	// tokens live.
	settling = time.Hour
)

func (p Policy) groupAbove() int { return cmp.Or(p.GroupAbove, groupAbove) }

// groupKey is the name of a group alert: no account and no provider has a name
// with a colon or an asterisk.
func groupKey(t event.Type, provider string) string {
	return Key(t, "", provider, "") + ":" + everything
}

func isGroup(a event.Alert) bool { return a.Provider != "" && a.Key == groupKey(a.Type, a.Provider) }

// group is what is known in this run of the accounts that an open group alert
// stands for.
type group struct {
	members map[string]member
	// resumed: the alert is of an earlier run, whose members nobody knows;
	// until unsure, every account that is not known to be well counts as one.
	resumed bool
	unsure  time.Time
}

// member is an account that was in trouble while the group alert was open.
type member struct {
	since time.Time
	well  bool
}

func newGroup() *group { return &group{members: map[string]member{}} }

// over says whether a trouble that has lasted since then is known to be over.
func (c Condition) over(since time.Time) bool {
	return c.State == Off && (c.Proof.IsZero() || c.Proof.After(since))
}

// lot is one type of trouble at one provider.
type lot struct {
	event.Type
	provider string
}

// group adds the conditions of the group alerts, and marks the conditions that
// those stand for. The caller holds e.mu.
func (e *Engine) group(cs conditions, s *Snapshot) {
	cs.nameProviders(s)
	lots := map[lot][]string{} // the accounts in trouble
	for _, c := range cs {
		if c.State == On && c.Account != "" && c.Provider != "" {
			l := lot{c.Type, c.Provider}
			lots[l] = append(lots[l], c.Account)
		}
	}
	for key := range e.groups {
		l := lot{e.open[key].Type, e.open[key].Provider}
		if _, ok := lots[l]; !ok {
			lots[l] = nil
		}
	}
	for l, accounts := range lots {
		e.weigh(l, accounts, cs, s)
	}
}

// nameProviders adds the provider to what only events told of an account.
func (cs conditions) nameProviders(s *Snapshot) {
	if len(s.Seen) == 0 {
		return
	}
	providers := map[string]string{}
	for _, seen := range s.Seen {
		if seen.Event.Account != "" && seen.Event.Provider == "" {
			providers[seen.Event.Account] = ""
		}
	}
	if len(providers) == 0 {
		return
	}
	for n := range s.Accounts {
		if _, wanted := providers[s.Accounts[n].Name]; wanted {
			providers[s.Accounts[n].Name] = s.Accounts[n].Provider
		}
	}
	for key := range s.Seen {
		if c := cs[key]; c.Account != "" && c.Provider == "" {
			c.Provider = providers[c.Account]
			cs[key] = c
		}
	}
}

// weigh decides whether one group alert stands for the accounts in trouble.
func (e *Engine) weigh(l lot, accounts []string, cs conditions, s *Snapshot) {
	key, limit := groupKey(l.Type, l.provider), e.cfg.Policy.groupAbove()
	g, begin := e.groups[key], s.Now
	if g != nil {
		begin = e.open[key].Since
	} else if len(accounts) <= limit {
		return
	}
	all := s.accountsAt(l.provider)
	if all == 0 {
		return // the provider is not in the configuration any more
	}
	storm := make([]string, 0, len(accounts))
	news := false
	for _, name := range accounts {
		single := e.open[Key(l.Type, name, "", "")]
		if single.lasts() && single.Since.Before(begin.Add(-stormSpan)) {
			continue
		}
		news = news || !single.lasts()
		storm = append(storm, name)
	}
	if g == nil {
		if len(storm) <= limit || !news {
			return
		}
		g = newGroup()
		e.groups[key] = g
	}
	for _, name := range storm {
		if m, ok := g.members[name]; !ok || m.well {
			g.members[name] = member{since: s.Now}
		}
	}
	unknown := g.unknown(l, cs) + g.unsureOf(l, e.open[key], cs, s, limit)

	c := Condition{Type: l.Type, Provider: l.provider, Group: true}
	switch {
	case len(storm)+unknown <= limit/2:
		c.State = Off
		c.Accounts = len(g.members)
		if n := e.open[key]; n.lasts() {
			c.Accounts = max(c.Accounts, n.Accounts)
		}
		c.What = l.ended(c.Accounts, len(accounts), g.resumed)
	case len(accounts) > 0:
		c.State, c.Accounts = On, len(accounts)
		c.What, c.Todo = l.lasting(accounts, all, unknown, cs), l.todo()
	}
	cs.add(c)
	if c.State == Off {
		return // what is left is told one by one
	}
	for _, name := range accounts {
		key := Key(l.Type, name, "", "")
		c := cs[key]
		c.Grouped = true
		cs[key] = c
	}
}

// unknown counts the members of which nobody knows whether they are still in
// trouble, and notes those that are well.
func (g *group) unknown(l lot, cs conditions) (n int) {
	for name, m := range g.members {
		c, ok := cs[Key(l.Type, name, "", "")]
		switch {
		case m.well, ok && c.State == On:
		case !ok || c.over(m.since):
			g.members[name] = member{since: m.since, well: true}
		default:
			n++
		}
	}
	return n
}

// unsureOf counts the accounts that may be members since an earlier run.
func (g *group) unsureOf(l lot, n *entry, cs conditions, s *Snapshot, limit int) (count int) {
	if !g.resumed {
		return 0
	}
	if only(l.Type) {
		// Nothing but silence tells that the troubles of then are over.
		if elapsed(n.ChangedAt, s.Now, quiet(l.Type)) {
			return 0
		}
		return limit
	}
	if g.unsure.IsZero() {
		g.unsure = s.Now.Add(settling)
	}
	if !s.Now.Before(g.unsure) {
		return 0
	}
	for _, a := range s.Accounts {
		if a.Provider != l.provider {
			continue
		}
		_, known := g.members[a.Name]
		c, ok := cs[Key(l.Type, a.Name, "", "")]
		if !known && ok && c.State != On && !c.over(n.Since) {
			count++
		}
	}
	return count
}

// settles says whether all accounts have to be looked at because any of them
// may be a member.
func (g *group) settles(now time.Time) bool {
	return g.resumed && (g.unsure.IsZero() || now.Before(g.unsure))
}

// endGroups forgets the members of the group alerts that are over. The caller
// holds e.mu.
func (e *Engine) endGroups() {
	for key := range e.groups {
		if !e.open[key].lasts() {
			delete(e.groups, key)
		}
	}
}

// asked says which accounts have to be looked at even if they seem to be well.
func (e *Engine) asked(now time.Time) func(*Account) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	accounts, providers := map[string]bool{}, map[string]bool{}
	for _, n := range e.open {
		accounts[n.Account] = true
	}
	for key, g := range e.groups {
		for name, m := range g.members {
			if !m.well {
				accounts[name] = true
			}
		}
		if g.settles(now) {
			providers[e.open[key].Provider] = true
		}
	}
	switch {
	case len(providers) > 0:
		return func(a *Account) bool { return accounts[a.Name] || providers[a.Provider] }
	case len(accounts) > 0:
		return func(a *Account) bool { return accounts[a.Name] }
	}
	return func(*Account) bool { return false }
}

// grouped says whether the account is one that an open group alert stands for.
// The caller holds e.mu.
func (e *Engine) grouped(t event.Type, account, provider string) bool {
	g := e.groups[groupKey(t, provider)]
	if g == nil {
		return false
	}
	m, ok := g.members[account]
	return ok && !m.well
}

// accountsAt counts the accounts of a provider.
func (s *Snapshot) accountsAt(provider string) (count int) {
	for n := range s.Accounts {
		if s.Accounts[n].Provider == provider {
			count++
		}
	}
	return count
}

// firstOf returns the first names in the order of the alphabet, at most n.
func firstOf(names []string, n int) []string {
	first := make([]string, 0, n+1)
	for _, name := range names {
		if at, _ := slices.BinarySearch(first, name); at < n {
			first = slices.Insert(first, at, name)
			first = first[:min(len(first), n)]
		}
	}
	return first
}

func words(t event.Type) string { return strings.ReplaceAll(string(t), "_", " ") }
