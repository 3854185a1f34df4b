package restore

import (
	"context"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

const (
	// fileExpired is how long an account waits for a file, whose access token has
	// expired.
	fileExpired = 2 * time.Second
	// fileSlow is after how long without an answer a file's disk counts as one that
	// hangs, and fileHung how long the sink's other files are then waited for: they
	// may be on another one.
	fileSlow = 3 * time.Second
	fileHung = 250 * time.Millisecond
)

// openQuestions are those to files that have not been answered. There is one of an
// account at a time, so that a disk that hangs for long keeps no more of them.
type openQuestions struct {
	mu    sync.Mutex
	since map[question]time.Time
}

// ask puts a question and waits for its answer until ctx ends, or as long as the sink
// is worth it; then nobody knows.
func (o *openQuestions) ask(ctx context.Context, q question, put func(context.Context) refresh.Elsewhere) refresh.Elsewhere {
	hangs, opened := o.begin(q)
	if !opened {
		return refresh.Elsewhere{Unheard: true}
	}
	answer := make(chan refresh.Elsewhere, 1)
	go func() {
		a := put(ctx)
		o.end(q) // before it is heard: the next question may come at once
		answer <- a
	}()
	patience := ctx
	if hangs {
		var cancel context.CancelFunc
		patience, cancel = context.WithTimeout(ctx, fileHung)
		defer cancel()
	}
	select {
	case a := <-answer:
		return a
	case <-patience.Done():
		return refresh.Elsewhere{Unheard: true}
	}
}

// begin notes a question; opened is false if the account's last one is open. hangs says
// whether the sink has not answered one for long.
func (o *openQuestions) begin(q question) (hangs, opened bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.since[q].IsZero() {
		return true, false
	}
	for other, since := range o.since {
		hangs = hangs || other.sink == q.sink && time.Since(since) >= fileSlow
	}
	o.since[q] = time.Now()
	return hangs, true
}

func (o *openQuestions) end(q question) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, q)
}
