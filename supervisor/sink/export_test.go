package sink

// Miscounted says whether the summary would be another one if it looked at
// every entry.
func (w *Worker) Miscounted() bool {
	s := w.state
	s.mu.Lock()
	defer s.mu.Unlock()
	accounts := len(s.receipts[KindToken])
	for k, e := range s.entries {
		if k.isToken() {
			accounts++
		}
		if _, both := s.receipts[k.kind][k.name]; both {
			return true
		}
		_, open := s.open[e]
		if more := e.behind() || !e.due.IsZero() || s.failuresOf(e) > 0; more && !open {
			return true
		}
	}
	for e := range s.open {
		if s.entries[e.key] != e {
			return true
		}
	}
	return accounts != s.accounts
}

// Awake is of how many keys more is kept than a receipt.
func (w *Worker) Awake() int {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	return len(w.state.entries)
}

// InHand is of how many keys a delivery is under way.
func (w *Worker) InHand() int { return len(w.state.queue.InHandFor(0)) }
