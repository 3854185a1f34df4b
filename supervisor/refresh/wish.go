package refresh

import "time"

// wishes are what waits beside an account's state, for whoever has its lease. They
// are under k.mu: anybody may wish, whether the account is at work or not.
type wishes struct {
	// missed: the account came due meanwhile. unmet: the provider's policy became
	// known then, and was not applied to its record yet.
	missed, unmet bool
	// refresh are those who wait for the outcome of one; insisted: whatever the
	// shared file holds.
	refresh  []chan error
	insisted bool
	// notBefore is what the account was postponed to; see Postpone.
	notBefore time.Time
	// login was begun and waits for the person's code.
	login *login
	// idle wait for the lease.
	idle []chan struct{}
}

// asked says whether somebody waits for a refresh.
func (w *wishes) asked() bool { return len(w.refresh) > 0 }

// ask waits for a refresh.
func (w *wishes) ask(insisted bool) <-chan error {
	outcome := make(chan error, 1)
	w.refresh = append(w.refresh, outcome)
	w.insisted = w.insisted || insisted
	return outcome
}

// answered returns whoever has waited for the refresh that is over.
func (w *wishes) answered() []chan error {
	waited := w.refresh
	w.refresh, w.insisted = nil, false
	return waited
}
