// Package queue says which key is to be worked on next. It is keyed and
// level-triggered: it holds no work, only the names of what there may be
// something to do about, so that whoever takes a key looks at what is newest.
//
// It speaks as k8s.io/client-go/util/workqueue does, and is not that one. Its
// figures, measured with v0.37.2: 18 more packages and 312 KiB more in a small
// program that has net/http already; two goroutines for each queue even when
// nothing is to be done; no urgent keys, no key taken out of turn, and a Get
// that no context ends.
package queue

import (
	"context"
	"sync"
	"time"
)

// Queue hands out keys, each of them to one hand at a time: from Get, or Hold,
// until Done. It is safe for concurrent use, and costs nothing for a key that
// is neither queued, nor in hand, nor failing.
type Queue[K comparable] struct {
	backoff func(failures int) time.Duration
	urgent  func(K) bool

	// changed wakes one Get, which wakes the next if there is more to do.
	changed chan struct{}

	mu    sync.Mutex
	items map[K]*item[K]
	// waiting are the queued keys that are in no hand; the urgent ones first.
	waiting [2]byTime[K]
	inHand  map[*item[K]]struct{}
}

// item is what is known of one key.
type item[K comparable] struct {
	key K
	// queued: it is to be handed out at the moment at, or as soon as it is in
	// no hand afterwards.
	queued bool
	at     time.Time
	index  int // among those that wait
	// since is since when it is in hand; zero: it is in none.
	since time.Time
	// heirs get it in hand as soon as it is in no other, first come, first
	// served.
	heirs    []chan struct{}
	failures int
}

// New returns an empty queue. backoff is the pause after so many failures in a
// row; a key that is urgent is handed out before all others that are due.
func New[K comparable](backoff func(failures int) time.Duration, urgent func(K) bool) *Queue[K] {
	return &Queue[K]{
		backoff: backoff, urgent: urgent,
		changed: make(chan struct{}, 1),
		items:   map[K]*item[K]{},
		inHand:  map[*item[K]]struct{}{},
	}
}

// Add queues the key: there may be something to do about it now. A key that is
// in hand is handed out once more after Done, because whoever has it may have
// looked already.
func (q *Queue[K]) Add(key K) { q.AddAfter(key, 0) }

// AddAfter queues the key for a moment to come. Of several such moments the
// first one counts.
func (q *Queue[K]) AddAfter(key K, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(q.item(key), after)
}

// AddRateLimited counts a failure of the key, and queues it after the pause
// that this many of them ask for, or atLeast if that is longer. It returns the
// pause.
func (q *Queue[K]) AddRateLimited(key K, atLeast time.Duration) (pause time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	it := q.item(key)
	it.failures++
	pause = max(q.backoff(it.failures), atLeast)
	q.add(it, pause)
	return pause
}

// Forget forgets the key's failures: the next one is the first.
func (q *Queue[K]) Forget(key K) { q.Resume(key, 0) }

// Resume takes the key to have failed so often, as an earlier run noted.
func (q *Queue[K]) Resume(key K, failures int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.items[key]; it != nil || failures > 0 {
		it = q.item(key)
		it.failures = failures
		q.drop(it)
	}
}

// Failures is how often the key has failed in a row.
func (q *Queue[K]) Failures(key K) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it := q.items[key]; it != nil {
		return it.failures
	}
	return 0
}

// Get waits for a key that is due and in no other hand. The caller calls Done
// when it has looked at it. ok is false if ctx has ended.
func (q *Queue[K]) Get(ctx context.Context) (key K, ok bool) {
	for ctx.Err() == nil {
		key, next, ok := q.take(time.Now())
		if ok {
			return key, true
		}
		q.wait(ctx, next)
	}
	return key, false
}

// wait returns when something has changed, at the moment next unless that is
// zero, or at the end of ctx.
func (q *Queue[K]) wait(ctx context.Context, next time.Time) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-q.changed:
	case <-due:
	}
}

// take puts the first key that is due in the caller's hand; if there is none,
// it says when one will be, the zero time if none waits.
func (q *Queue[K]) take(now time.Time) (key K, next time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.waiting {
		w := &q.waiting[i]
		switch {
		case len(*w) == 0:
		case !(*w)[0].at.After(now):
			it := w.pop()
			it.queued = false
			q.give(it, now)
			if len(q.waiting[0])+len(q.waiting[1]) > 0 {
				q.ring() // another Get may have missed what this one was woken for
			}
			return it.key, next, true
		case next.IsZero() || (*w)[0].at.Before(next):
			next = (*w)[0].at
		}
	}
	return key, next, false
}

// Hold waits until the key is in no other hand, and takes it, queued or not.
// The caller calls Done; but not if it returns false, because ctx has ended.
func (q *Queue[K]) Hold(ctx context.Context, key K) bool {
	q.mu.Lock()
	it := q.item(key)
	if it.since.IsZero() {
		q.give(it, time.Now())
		if it.queued { // for when it is in no hand again
			q.waitingFor(it).remove(it)
		}
		q.mu.Unlock()
		return true
	}
	mine := make(chan struct{})
	it.heirs = append(it.heirs, mine)
	q.mu.Unlock()
	select {
	case <-mine:
		return true
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, heir := range it.heirs {
		if heir == mine {
			it.heirs = append(it.heirs[:i], it.heirs[i+1:]...)
			return false
		}
	}
	q.done(it) // it was handed over at the last moment
	return false
}

// Done puts the key out of hand. If it was added meanwhile it is queued now.
func (q *Queue[K]) Done(key K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done(q.items[key])
}

// InHandFor are the keys that have been in somebody's hand for at least that long, and
// for how long each; nil: none.
func (q *Queue[K]) InHandFor(atLeast time.Duration) map[K]time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	var found map[K]time.Duration
	for it := range q.inHand {
		if d := time.Since(it.since); d >= atLeast {
			if found == nil {
				found = map[K]time.Duration{}
			}
			found[it.key] = d
		}
	}
	return found
}

// What follows is called with mu held.

func (q *Queue[K]) item(key K) *item[K] {
	it := q.items[key]
	if it == nil {
		it = &item[K]{key: key, index: -1}
		q.items[key] = it
	}
	return it
}

// give puts the item in somebody's hand.
func (q *Queue[K]) give(it *item[K], now time.Time) {
	it.since = now
	q.inHand[it] = struct{}{}
}

// drop lets go of an item of which there is nothing to know.
func (q *Queue[K]) drop(it *item[K]) {
	if !it.queued && it.since.IsZero() && it.failures == 0 {
		delete(q.items, it.key)
	}
}

func (q *Queue[K]) add(it *item[K], after time.Duration) {
	at := time.Now().Add(max(0, after))
	if it.queued && !at.Before(it.at) {
		return
	}
	it.queued, it.at = true, at
	if it.since.IsZero() {
		q.waitingFor(it).put(it)
		q.ring()
	}
}

func (q *Queue[K]) done(it *item[K]) {
	if len(it.heirs) > 0 {
		close(it.heirs[0])
		it.heirs = it.heirs[1:]
		it.since = time.Now()
		return
	}
	it.since = time.Time{}
	delete(q.inHand, it)
	if it.queued {
		q.waitingFor(it).put(it)
		q.ring()
	}
	q.drop(it)
}

func (q *Queue[K]) waitingFor(it *item[K]) *byTime[K] {
	if q.urgent(it.key) {
		return &q.waiting[0]
	}
	return &q.waiting[1]
}

func (q *Queue[K]) ring() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}
