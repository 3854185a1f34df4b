package heartbeat

import "time"

// State is how the heartbeat does.
type State string

const (
	Waiting State = "waiting"   // for the supervisor to be ready, and for the first ping
	Beating State = "beating"   // the newest ping was taken
	Held    State = "held_back" // something is wrong, and no ping says otherwise
	Failing State = "failing"   // the service does not take what it is sent
)

// Status is how the heartbeat does, without its address but for the host.
type Status struct {
	To    string        `json:"to"`
	Every time.Duration `json:"every_ns"`
	State State         `json:"state"`
	// LastPing is when the service took one; not set: it has taken none since the start.
	LastPing time.Time `json:"last_ping,omitzero"`
	// HeldBack is what is wrong, for which there is no ping; "": nothing. FailureTold:
	// the service was told so.
	HeldBack    string `json:"held_back,omitempty"`
	FailureTold bool   `json:"failure_told,omitempty"`
	// Failures in a row of sending, and LastError the newest.
	Failures  int    `json:"failures"`
	LastError string `json:"last_error,omitempty"`
}

// state is what the rest comes to.
func (s Status) state() State {
	switch {
	case s.Failures > 0:
		return Failing
	case s.HeldBack != "":
		return Held
	case s.LastPing.IsZero():
		return Waiting
	}
	return Beating
}

// Status returns how the heartbeat does.
func (h *Heartbeat) Status() Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.status
	s.State = s.state()
	return s
}

// looked notes what is wrong, and tells the log when that begins and is over.
func (h *Heartbeat) looked(trouble string) {
	h.mu.Lock()
	before := h.status
	h.status.HeldBack = trouble
	if trouble == "" {
		h.status.FailureTold = false
	} else if h.failed == nil { // nothing is sent, and so nothing fails
		h.status.Failures, h.status.LastError = 0, ""
	}
	h.mu.Unlock()
	switch {
	case before.HeldBack == "" && trouble != "":
		h.with.Log.Warn("no heartbeat is sent before this is over: "+trouble, "to", before.To)
	case before.HeldBack != "" && trouble == "":
		h.with.Log.Info("the heartbeat goes on", "to", before.To)
	}
}

// told notes what became of a request, a ping or one that tells of trouble, and tells
// the log when they begin to fail and when that is over.
func (h *Heartbeat) told(ping bool, err error) {
	h.mu.Lock()
	before := h.status
	switch {
	case err != nil:
		h.status.Failures++
		h.status.LastError = err.Error()
	case ping:
		h.status.LastPing, h.status.Failures, h.status.LastError = h.with.Now().UTC(), 0, ""
	default:
		h.status.FailureTold, h.status.Failures, h.status.LastError = true, 0, ""
	}
	h.mu.Unlock()
	switch {
	case err != nil && before.Failures == 0:
		h.with.Log.Warn("the heartbeat's service does not take what it is sent; it is tried again", "to", before.To, "error", err)
	case err == nil && before.Failures > 0:
		h.with.Log.Info("the heartbeat's service takes what it is sent again", "to", before.To, "failures", before.Failures)
	}
}
