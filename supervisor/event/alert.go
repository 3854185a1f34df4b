package event

import (
	"cmp"
	"fmt"
	"time"
)

// AlertState is where an alert stands.
type AlertState string

const (
	AlertRaised    AlertState = "raised"    // the trouble has begun, or has come to more accounts
	AlertRepeated  AlertState = "repeated"  // it lasts, maybe for fewer accounts
	AlertRecovered AlertState = "recovered" // it is over
)

// Alert is a trouble that lasts until it is over. There is at most one for
// each kind of trouble and provider or sink; the accounts that have it are a
// list in it. It never holds a secret.
type Alert struct {
	// Key is the type and the provider or sink, e.g. "needs_login:schwab";
	// there is a colon in every key.
	Key   string     `json:"key"`
	Type  Type       `json:"type"`
	State AlertState `json:"state"`
	// Version grows whenever there is something to tell: the alert was raised,
	// its list changed notably, it is repeated, or is over. None is used twice
	// for one key, also if the alert was forgotten in between.
	Version uint64 `json:"version"`
	// What it concerns; the others are empty. Account is set only if it is the
	// only one.
	Provider string `json:"provider,omitempty"`
	Account  string `json:"account,omitempty"`
	Sink     string `json:"sink,omitempty"`
	// Accounts is how many accounts of the provider have the trouble, or had
	// it when it is over; 0: it is not one of accounts. Affected are these, the
	// one that has it for longest first; a sink is told of the first hundred.
	Accounts int        `json:"accounts,omitempty"`
	Affected []Affected `json:"affected,omitempty"`
	// Message is one sentence for a person, with what to do.
	Message string `json:"message"`
	// Since is when it was raised, ChangedAt when Version grew.
	Since     time.Time `json:"since"`
	ChangedAt time.Time `json:"changed_at"`
	// Hush keeps the sinks from hearing of it; nil: they hear.
	Hush *Hush `json:"hush,omitempty"`
}

// Over says whether its trouble has ended.
func (a Alert) Over() bool { return a.State == AlertRecovered }

// Concerns is what it is about, for people; "" if that is everything.
func (a Alert) Concerns() string {
	if a.Accounts > 1 {
		return fmt.Sprintf("%s (%d)", a.Provider, a.Accounts)
	}
	return cmp.Or(a.Account, a.Provider, a.Sink)
}

// Affected is an account that has the trouble of an alert.
type Affected struct {
	Account string `json:"account"`
	// Since is when it got into the trouble, Until when it was over; zero: it
	// lasts.
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"`
	// Error is the cause; "": what the alert says is all that is known.
	Error string `json:"error,omitempty"`
	// Message says of this account alone what is wrong and what to do.
	Message string `json:"message,omitempty"`
	// Needs is what a person gives the account to end it: "login", "import" (of a token
	// file) or "key"; "": something else, or nothing.
	Needs string `json:"needs,omitempty"`
	// Version of the alert in which the sinks were told of it last.
	Version uint64 `json:"version"`
}

// Hush is a person's word that an alert is known. Its end is told all the same.
type Hush struct {
	At time.Time `json:"at"`
	// Until is when it is told again, whatever it says then; zero: it was
	// acknowledged, and so it is told only of more accounts.
	Until time.Time `json:"until,omitzero"`
}
