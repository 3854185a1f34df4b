package sink

// Miscounted says whether the summary would be another one if it looked at
// every lane.
func (w *Worker) Miscounted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := standing{}
	for _, l := range w.lanes {
		all.count(l.line, 1)
		all.note(l)
	}
	for _, ln := range w.lines {
		all.count(ln, len(ln.resting))
		for key := range ln.resting {
			if w.lanes[key] != nil {
				return true
			}
		}
	}
	for l := range all.open {
		if _, known := w.standing.open[l]; !known {
			return true
		}
	}
	for l := range w.standing.open {
		if w.lanes[l.key] != l {
			return true
		}
	}
	return all.accounts != w.standing.accounts
}

// Awake is how many lanes do not rest.
func (w *Worker) Awake() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.lanes)
}

// Gates is how many gates there are.
func (w *Worker) Gates() int {
	w.gates.mu.Lock()
	defer w.gates.mu.Unlock()
	return len(w.gates.gates)
}
