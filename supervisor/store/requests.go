package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

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

// requestsLayout is what is stored of an account's requests. It is written as a
// whole, and forgotten within hours, and so needs to keep nothing that a newer
// program has added.
type requestsLayout struct {
	Account  string    `json:"account"`
	Requests []Request `json:"requests"`
	Sum      string    `json:"sum,omitempty"` // as in recordLayout
}

// readRequests returns what stands under an account's key. What can't be read was
// never asked for: the broker's own word is heard all the same.
func readRequests(account string, b []byte) ([]Request, bool) {
	var l requestsLayout
	if b == nil || !checkSum(b) || json.Unmarshal(b, &l) != nil || l.Account != account {
		return nil, false
	}
	return l.Requests, true
}

// Requests implements [Store].
func (e *engine) Requests(ctx context.Context, account string) ([]Request, error) {
	b, err := e.one(ctx, requestsKey(account))
	if err != nil {
		return nil, fmt.Errorf("reading the requests of account %s: %w", account, err)
	}
	all, _ := readRequests(account, b)
	return all, nil
}

// PutRequests implements [Store].
func (e *engine) PutRequests(ctx context.Context, account string, all []Request) error {
	if err := checkName("an account", account); err != nil {
		return err
	}
	return e.write(ctx, account, func(d draft) error { return d.putRequests(account, all) })
}

// putRequests is the rule of [Store.PutRequests], and of an announcement.
func (d draft) putRequests(account string, all []Request) error {
	l := requestsLayout{Account: account, Requests: make([]Request, len(all))}
	for n, r := range all {
		r.At = utc(r.At)
		l.Requests[n] = r
	}
	b, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("the requests of account %s can't be stored: %w", account, err)
	}
	d.put(requestsKey(account), sign(b))
	return nil
}
