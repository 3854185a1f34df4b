package refresh

// tallied is how many accounts of a state a [Tally] names.
const tallied = 3

// Tally is how many accounts are in each state, and the first few of each by name.
type Tally map[State]Some

// Some are accounts, a few of which are named.
type Some struct {
	Count int
	Names []string
}

// Add counts a Keeper's accounts in.
func (t Tally) Add(k *Keeper) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.cfg.Accounts {
		name := k.cfg.Accounts[i].Name
		state := k.accounts[name].outlook().shown()
		s := t[state]
		if s.Count++; len(s.Names) < tallied {
			s.Names = append(s.Names, name)
		}
		t[state] = s
	}
}

// Flying names a Keeper's accounts that an attempt is under way for.
func Flying(k *Keeper) (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.inFlight+k.polling == 0 {
		return nil
	}
	for i := range k.cfg.Accounts {
		if name := k.cfg.Accounts[i].Name; k.accounts[name].guard.Taken() {
			names = append(names, name)
		}
	}
	return names
}
