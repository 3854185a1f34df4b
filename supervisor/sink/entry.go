package sink

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// entry is what is known of a key that the sink lacks, or of which there is
// more to say than what it has.
type entry struct {
	key
	// delivered is the ledger's line.
	delivered store.Delivery
	// since is when the sink fell behind; zero: it has the newest.
	since time.Time
	// atLeast: it fell behind before since, in an earlier run, and nobody knows
	// when.
	atLeast bool
	// woken: there may be something newer than what was read last.
	woken bool

	// edition that was tried last, and how that went. How often it has failed
	// is counted by the queue.
	edition   edition
	lastError string
	// failures are the tries in a row that were not taken, of whatever edition, and
	// also before the start: what people are told.
	failures int
	// losing are those since the start, by which the log tells of ever fewer, and
	// cause is why the newest failed.
	losing int
	cause  string
	// refused: trying edition again is useless.
	refused bool
	// dead: what is newest can be used by nobody, so that the sink waits for
	// the next version and lags behind nothing.
	dead bool
	// due is the next try of edition; zero: none is planned.
	due time.Time
	// notBefore is what the receiver asked for; it holds for newer versions
	// too.
	notBefore time.Time
	// asked counts how often a person asked for it once more, and answered
	// says up to where that has been done.
	asked, answered uint64
	// forced is the count of asked at which a person wanted it written over what the
	// destination holds, and over what that was.
	forced uint64
	over   sight
	// unknown: the destination holds a token that must not be written over.
	unknown bool
	// lost: the destination does not hold what the ledger says, or another consumer
	// is there than the one which had it.
	lost bool
}

func (e *entry) behind() bool { return !e.since.IsZero() }

// wish is what a person wants of the next delivery.
func (e *entry) wish() wish {
	switch {
	case e.asked == e.answered:
		return noWish
	case e.forced > e.answered:
		return wish{onceMore: true, over: e.over}
	}
	return onceMore
}

// fallBehind notes since when the sink lacks something.
func (e *entry) fallBehind(since time.Time) {
	if e.since.IsZero() {
		e.since, e.atLeast = since, false
	}
}

// nothingLeft says whether nothing is left to do or to tell.
func (e *entry) nothingLeft(now time.Time) bool {
	return !e.woken && !e.behind() && !e.refused && e.lastError == "" && e.wish() == noWish &&
		e.due.IsZero() && !e.notBefore.After(now)
}

// receipt is all that is kept of a key of which the sink has the newest and
// there is nothing more to do or to tell: of a hundred thousand accounts it is
// so with nearly all at any moment, at every sink.
type receipt struct {
	version  uint64
	at       int64 // nanoseconds since 1970
	latency  time.Duration
	expiry   int64 // seconds since 1970; 0: not known
	consumer string
}

// receiptOf is what is kept of a line of the ledger; ok is false if that would
// not tell when it was delivered.
func receiptOf(has store.Delivery) (r receipt, ok bool) {
	r = receipt{version: has.Version, at: has.At.UnixNano(), latency: has.Latency, consumer: has.Consumer}
	if !has.Expiry.IsZero() {
		r.expiry = has.Expiry.Unix()
	}
	return r, time.Unix(0, r.at).Equal(has.At)
}

// delivery is the line of the ledger; of nothing, the zero Delivery.
func (r receipt) delivery(sink, name string) store.Delivery {
	if r == (receipt{}) {
		return store.Delivery{}
	}
	at := time.Unix(0, r.at).UTC()
	d := store.Delivery{
		Sink: sink, Account: name, Version: r.version, At: at, Latency: r.latency, Consumer: r.consumer,
		Result: store.ResultDelivered, TriedVersion: r.version, TriedAt: at,
	}
	if r.expiry != 0 {
		d.Expiry = time.Unix(r.expiry, 0).UTC()
	}
	return d
}

// another says whether somebody else is there now than whom the ledger's line is
// about.
func another(now string, has store.Delivery) bool {
	return now != "" && has.Version > 0 && has.Consumer != now
}
