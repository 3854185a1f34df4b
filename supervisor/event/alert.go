package event

import "time"

// AlertState is where an alert stands.
type AlertState string

const (
	AlertRaised    AlertState = "raised"    // the trouble has begun
	AlertRepeated  AlertState = "repeated"  // it lasts
	AlertRecovered AlertState = "recovered" // it is over
)

// Alert is a trouble that lasts until it is over. There is at most one for
// each kind of trouble and what it concerns. It never holds a secret.
type Alert struct {
	// Key is the type and what it concerns, e.g. "needs_login:schwab-main";
	// there is a colon in every key.
	Key   string     `json:"key"`
	Type  Type       `json:"type"`
	State AlertState `json:"state"`
	// Version grows whenever there is something to tell: the alert was raised,
	// is repeated, or is over. No two notices with one key ever have the same,
	// also if the alert was forgotten in between.
	Version uint64 `json:"version"`
	// What it concerns; the others are empty.
	Provider string `json:"provider,omitempty"`
	Account  string `json:"account,omitempty"`
	Sink     string `json:"sink,omitempty"`
	// Accounts is how many accounts of the provider have the trouble, or had
	// it when it is over; 0: it is not an alert that stands for many.
	Accounts int `json:"accounts,omitempty"`
	// Message is one sentence for a person, with what to do.
	Message string `json:"message"`
	// Since is when it was raised, ChangedAt when Version grew.
	Since     time.Time `json:"since"`
	ChangedAt time.Time `json:"changed_at"`
}
