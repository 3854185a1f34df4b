package sink

// Miscounted says whether the summary would be another one if it looked at
// every lane.
func (w *Worker) Miscounted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := standing{}
	for _, l := range w.lanes {
		all.count(l, 1)
		all.note(l)
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
