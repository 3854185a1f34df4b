package record

import "time"

// Request is one that was announced to a broker that allows only so many.
type Request struct {
	Attempt string    `json:"attempt"`
	At      time.Time `json:"at"`
	// Up is how long the machine had been up then, in the run of its kernel that Boot
	// names: within one, a clock that is set makes no request older or younger.
	Up   time.Duration `json:"up,omitempty"`
	Boot string        `json:"boot,omitempty"`
	// Failed: the broker refused it as a login that failed.
	Failed bool `json:"failed,omitempty"`
	// Poll names the login that it polled; "": none.
	Poll string `json:"poll,omitempty"`
}

// DatedRequests are the requests with times that can be stored.
func DatedRequests(all []Request) []Request {
	dated := make([]Request, len(all))
	for n, r := range all {
		r.At = utc(r.At)
		dated[n] = r
	}
	return dated
}
