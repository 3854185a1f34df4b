package store

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unique"
)

// Head is what tells one version of an account's record from another, without
// its token.
type Head struct {
	Account, Provider string
	Version           uint64
	StoredAt          time.Time
}

func (r Record) head() Head { return Head{r.Account, r.Provider, r.Version, r.StoredAt} }

// head lets heads and records be listed alike.
func (h Head) head() Head { return h }

// heads remembers the head of each record that it has opened, beside the very
// bytes that it was read from: as nobody changes those in place, what it
// remembers holds for as long as the store still has them, and for nothing
// that was stored, restored or put back since.
type heads struct {
	mu    sync.Mutex
	known map[string]openedHead
	// list has all that is known, ordered; nil: something was opened since.
	// Those who got it share it.
	list []Head
}

type openedHead struct {
	Head
	from []byte
}

// open is what [open] returns of the record, without its secrets.
func (h *heads) open(account string, b []byte) (Head, error) {
	if known, ok := h.known[account]; ok && sameBytes(known.from, b) {
		return known.Head, nil
	}
	h.list = nil
	r, err := open(account, b)
	if err != nil {
		return Head{}, err
	}
	head := r.head()
	// Not a string of its own for each: there are a hundred thousand, and more
	// in those who ask.
	head.Account, head.Provider = account, unique.Make(r.Provider).Value()
	if h.known == nil {
		h.known = make(map[string]openedHead)
	}
	h.known[account] = openedHead{head, b}
	return head, nil
}

// listed says whether list has the heads of exactly these records.
func (h *heads) listed(sealed []sealedRecord) bool {
	return len(h.list) == len(sealed) && !slices.ContainsFunc(sealed, func(s sealedRecord) bool {
		return !sameBytes(h.known[s.account].from, s.bytes)
	})
}

// sameBytes says whether a and b are not only alike but one and the same.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}

// Heads implements [Store].
func (e *engine) Heads(ctx context.Context) ([]Head, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listing the records: %w", err)
	}
	// Of those who ask at the same time, as all sinks do at the start, the
	// first opens the records and the others find them opened.
	e.heads.mu.Lock()
	defer e.heads.mu.Unlock()
	held := make(map[string]Head) // looked at first, as in Load
	for account, r := range e.allHeld() {
		held[account] = r.head()
	}
	sealed, err := e.sealed()
	if err != nil {
		return nil, err
	}
	if len(held) > 0 {
		return openAll(sealed, held, e.heads.open)
	}
	if e.heads.listed(sealed) {
		return e.heads.list, nil
	}
	list, err := openAll(sealed, held, e.heads.open)
	if err == nil {
		e.heads.list = slices.Clip(list)
	}
	return list, err
}

// sealedRecord is an account's record as stored.
type sealedRecord struct {
	account string
	bytes   []byte
}

// sealed returns all stored records, in no order.
func (e *engine) sealed() (all []sealedRecord, err error) {
	err = e.read(func(r reader) {
		r.scan(prefixAccounts, func(key string, value []byte) {
			if account, ok := recordAccount(key); ok {
				all = append(all, sealedRecord{account, value})
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the records: %w", err)
	}
	return all, nil
}
