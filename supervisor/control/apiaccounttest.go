package control

import "time"

// AccountTestAnswer is the answer of POST /v1/accounts/{account}/test. A token that the
// broker refuses is an [Error] with the code conflict, one of which it has said nothing one
// with unavailable or not_yet.
type AccountTestAnswer struct {
	Account string `json:"account"`
	// Version that the broker accepts, and how long it took to say so.
	Version uint64        `json:"version"`
	Took    time.Duration `json:"took_ns"`
}
