package store

import "time"

// Restored tells what became of a store that was damaged or gone when it was
// opened.
type Restored struct {
	// Cause is what was wrong.
	Cause error
	// Kept is where the damaged file is now; "" if there was none, or if it
	// is still in its place because nothing could be written.
	Kept string
	// Base is the file that everything comes from that the damaged one no
	// longer gave, mostly a backup, and BaseAt the moment of its newest
	// record; "" and zero: there was none.
	Base   string
	BaseAt time.Time
	// Accounts that have a record again, ordered by name.
	Accounts []RestoredAccount
	// Missing accounts are named by an intent or by the ledger, but there is
	// no record of them anywhere: they need a login, or an import.
	Missing []string
}

// RestoredAccount is what became of one account.
type RestoredAccount struct {
	Account string
	Version uint64
	// StoredAt is when this version was new.
	StoredAt time.Time
	// Source is the file that the record was found in.
	Source string
	// Newest: this is surely the newest version that was stored. Otherwise a
	// newer one may be lost, and its refresh token may be spent: the spool,
	// shared files and sinks may know better.
	Newest bool
}
