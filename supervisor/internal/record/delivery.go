package record

import "time"

// What became of the newest try of a delivery.
const (
	ResultDelivered = "delivered"
	ResultFailed    = "failed"  // it is tried again
	ResultRefused   = "refused" // this version is not tried again
)

// Delivery is one line of the ledger: the newest version of an account that a
// sink is known to have, and how the newest try went.
type Delivery struct {
	Sink    string `json:"sink"`
	Account string `json:"account"`
	// Version that the sink has; 0: none yet. At is when it got it, and
	// Latency the time since the version was durable.
	Version uint64        `json:"version"`
	At      time.Time     `json:"at,omitzero"`
	Latency time.Duration `json:"latency,omitempty"`
	// Expiry of that version's access token; zero: nobody knows, or an older program has
	// noted it.
	Expiry time.Time `json:"expires_at,omitzero"`
	// Consumer names who took it, where the sink can tell one consumer from the
	// next: one that has started anew has another name. Where it can't, it is the
	// address at which it was taken, as a fingerprint. "": nobody can tell, or an older
	// program has noted it.
	Consumer string `json:"consumer,omitempty"`
	// Shape is how it was written and put there, as a fingerprint; "": an older program
	// has noted it.
	Shape string `json:"shape,omitempty"`

	// Result of the newest try: ResultDelivered, ResultFailed or
	// ResultRefused; of version TriedVersion, at TriedAt. TriedVersion is
	// never below Version.
	Result       string    `json:"result,omitempty"`
	TriedVersion uint64    `json:"tried_version,omitempty"`
	TriedAt      time.Time `json:"tried_at,omitzero"`
	// Error of a try that did not succeed, and how many in a row did not. It
	// holds no secret.
	Error    string `json:"error,omitempty"`
	Failures int    `json:"failures,omitempty"`
}

// Then is the line d after a later note about the same sink and account, which
// knows only of what it was written for.
func (d Delivery) Then(later Delivery) Delivery {
	if d.Sink == "" {
		return later
	}
	if later.Version > 0 && later.Version >= d.Version {
		d.Version, d.At, d.Latency, d.Expiry = later.Version, later.At, later.Latency, later.Expiry
		d.Consumer, d.Shape = later.Consumer, later.Shape
	}
	if later.TriedVersion >= d.TriedVersion {
		d.Result, d.TriedVersion, d.TriedAt = later.Result, later.TriedVersion, later.TriedAt
		d.Error, d.Failures = later.Error, later.Failures
	}
	return d
}
