package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
)

// Hold implements [Store].
func (e *engine) Hold(ctx context.Context, rec Record) error {
	a, err := e.of(ctx, "the record", rec.Account)
	if err = cmp.Or(checkName("an account", rec.Account), err, a.admits(rec)); err != nil {
		return fmt.Errorf("holding version %d of account %s: %w", rec.Version, rec.Account, err)
	}
	e.date(&rec.StoredAt)
	rec.Held = true
	e.mu.Lock()
	defer e.mu.Unlock()
	e.held[rec.Account] = rec
	return nil
}

// heldRecord is the one that is held of an account; of version 0: none is.
func (k *reads) heldRecord(account string) Record {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[account]
}

// unhold ends the hold that the committed record rec, or a later one, takes
// the place of.
func (e *engine) unhold(rec Record) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held[rec.Account].Version <= rec.Version {
		delete(e.held, rec.Account)
	}
}

// deliverable is what is pending of the ledger, less what it says of versions
// that are held: should the process die, another token may get that version's number,
// and the ledger must not say that it was delivered, or refused. The caller holds
// q.mu.
func (q *writer) deliverable() map[string]Delivery {
	ready := maps.Clone(q.pending)
	maps.DeleteFunc(ready, func(_ string, d Delivery) bool {
		h, ok := q.held[d.Account]
		return ok && h.Version <= d.TriedVersion
	})
	return ready
}
