package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const (
	// lookAtOnce is how many accounts one look is about, so that many sinks of
	// many accounts cost no more than that at a time.
	lookAtOnce = 1000
	// halfWritten is how young what can't be read may be for somebody to be
	// writing it at this moment. What is of a time to come was not written now.
	halfWritten = 5 * time.Second
	// errorsOfALook end it: a destination that does not answer is not asked about
	// each account.
	errorsOfALook = 3
	// leaveAlone is how long a file of which there is news is left alone: a program
	// that removes its file and writes it anew has done so by then, and what it
	// writes must not be written over.
	leaveAlone = time.Second
)

// lookBack looks whether a sink still holds what the ledger says: at the start, at
// each of looks, and when its destination has news. What it finds missing goes the
// ordinary way, through the queue.
type lookBack struct {
	*state
	looks <-chan struct{}
}

// start looks until ctx ends or stop is called, which waits for it.
func (b lookBack) start(ctx context.Context) (stop func()) {
	_, names := b.Sink.(Recipient)
	watcher, hears := b.Sink.(Watcher)
	if !b.takes(KindToken) || !names && !hears && !b.answers() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	l := &looking{lookBack: b, news: newNews(), heard: map[string]struct{}{}, seen: map[string]sighting{}, mends: mends{}}
	if hears {
		if err := safely(func() error { return watcher.Watch(ctx, l.news.add) }); err != nil {
			l.tell(fmt.Errorf("it can't be watched: %w", err))
		}
	}
	go func() {
		defer close(done)
		l.run(ctx)
	}()
	return func() {
		cancel()
		select { // a disk that hangs must not hold up the end
		case <-done:
		case <-time.After(lastGrace):
		}
	}
}

// answers says whether the sink is asked regularly what it holds.
func (b lookBack) answers() bool {
	_, can := b.Sink.(Holder)
	return can && b.ReadBack.Regularly
}

// looking is one run of it.
type looking struct {
	lookBack
	news *news
	// heard are the accounts of which there is news, and calm fires when they
	// are looked at.
	heard map[string]struct{}
	calm  <-chan time.Time
	// left are the accounts that are still to be looked at in this round.
	left []string
	seen map[string]sighting
	// visits are the times at which everything was looked at upon news.
	visits visits
	// met is who was there at the last look.
	met   string
	mends mends
	// told is the trouble that was told last.
	told string
}

func (l *looking) run(ctx context.Context) {
	l.look(ctx, false)
	rang := l.news.rang
	var rested <-chan time.Time
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-l.looks:
			l.look(ctx, false)
		case <-rang:
			rang, rested = nil, time.After(l.hear(ctx))
		case <-rested:
			rang, rested = l.news.rang, nil
		case <-l.calm:
			l.lookAtHeard(ctx)
		}
	}
}

// look is one look. came: another consumer may have come.
func (l *looking) look(ctx context.Context, came bool) {
	l.meet(ctx, came)
	if !l.answers() {
		return
	}
	l.mends.forget(time.Now())
	if len(l.left) == 0 {
		l.left = l.held()
	}
	n := min(len(l.left), lookAtOnce)
	failed := 0
	for i, account := range l.left[:n] {
		switch err := l.lookAt(ctx, account); {
		case ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, sdk.ErrUnimplemented):
			l.tell(err)
			if failed++; failed == errorsOfALook {
				l.left = l.left[i+1:]
				return
			}
		}
	}
	if failed == 0 && n > 0 {
		l.told = ""
	}
	l.left = l.left[n:]
}

// hear looks at everything if there is news of that, and notes of which accounts
// there is. It returns how long the next news waits.
func (l *looking) hear(ctx context.Context) (pause time.Duration) {
	accounts, all := l.news.take()
	pause = newsPause
	if all {
		pause = l.visits.add(time.Now())
		l.look(ctx, true)
	}
	for _, account := range accounts {
		l.heard[account] = struct{}{}
	}
	if l.calm == nil && len(l.heard) > 0 {
		l.calm = time.After(leaveAlone)
	}
	return pause
}

// lookAtHeard looks at what there was news of.
func (l *looking) lookAtHeard(ctx context.Context) {
	accounts := slices.Sorted(maps.Keys(l.heard))
	clear(l.heard)
	l.calm = nil
	for _, account := range accounts {
		if ctx.Err() != nil || !l.answers() || l.mends.rest(account, time.Now()) {
			continue
		}
		err := l.lookAt(ctx, account)
		if err == nil {
			err = l.again(ctx, account)
		}
		if err != nil && ctx.Err() == nil && !errors.Is(err, sdk.ErrUnimplemented) {
			l.tell(err)
		}
	}
}

// again lets a delivery that failed have its turn before its back-off is over, if
// the sink does not hold the record: what was in its way may be gone, such as a
// folder that was missing. One that failed after the sink had it, as when a program
// could not be told, has made the news itself, and waits. Where news follows news it
// has its turn ever more rarely.
func (l *looking) again(ctx context.Context, account string) error {
	e, failing := l.failing(account)
	if !failing {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.Policy.Timeout)
	defer cancel()
	rec, err := l.Store.Load(ctx, account)
	if err != nil {
		return nil // the next try tells
	}
	q := readback.Question{Lightly: true, Wrote: e.delivered}
	held, finding, err := readBack{l.setup}.look(ctx, rec, q)
	if err != nil || asGiven(rec, held, finding) {
		return err
	}
	l.mends.add(account, time.Now())
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.entries[e.key]; e != nil {
		e.due = time.Time{}
		l.note(e)
		l.add(e.key)
	}
	return nil
}

// failing says whether the account's delivery waits for the end of a back-off, and
// returns what is known of it.
func (l *looking) failing(account string) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.entries[key{KindToken, account}]
	if e == nil || e.lastError == "" || e.due.IsZero() {
		return entry{}, false
	}
	return *e, true
}

// meet sees to it that who is there now gets what only another one has.
func (l *looking) meet(ctx context.Context, came bool) {
	if _, names := l.Sink.(Recipient); !names {
		if came {
			l.retryTokens()
		}
		return
	}
	name := l.recipient(ctx, key{KindToken, ""})
	if name == "" {
		return
	}
	l.mu.Lock()
	for account, r := range l.receipts[KindToken] {
		if another(name, r.delivery(l.Name, account)) && !l.disabled.is() {
			k := key{KindToken, account}
			e := l.entry(k)
			e.lost = true
			e.fallBehind(l.Wall())
			l.note(e)
			l.add(k)
		}
	}
	l.mu.Unlock()
	if l.met != name {
		l.met = name
		l.retryTokens()
	}
}

// retryTokens lets what waits for a consumer that was absent, or that failed, have its
// turn now: there is another one. What a sink has asked to wait for waits.
func (b lookBack) retryTokens() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.absence.sign(time.Now(), b.queue)
	for k, e := range b.entries {
		if k.isToken() {
			e.due = time.Time{}
			b.note(e)
			b.add(k)
		}
	}
}

// held are the accounts of which the sink is thought to have the newest. The
// others are under way, and are looked at by their deliveries.
func (b lookBack) held() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.receipts[KindToken]))
}

// sighting is when the sink was last seen to hold a version. The time of our own
// delivery would not do: what is written over a file between that and the
// ledger's line would count as ours.
type sighting struct {
	version uint64
	at      time.Time // by the wall clock alone
	mono    time.Time
}

func (b lookBack) sight(version uint64) sighting {
	return sighting{version, b.Wall().Round(0), time.Now()}
}

// lastSeen is from when on a change of what is held would be a later one, of the
// version that is looked for; the zero time: nobody has looked yet, or the clock was
// set back since, so that a later change may have an earlier time.
func (s sighting) lastSeen(now sighting) time.Time {
	if s.version != now.version || s.at.IsZero() || now.at.Sub(s.at) < now.mono.Sub(s.mono)-coarseClock/2 {
		return time.Time{}
	}
	return s.at.Add(-coarseClock)
}

// coarseClock is more than the clock of a file system lags behind.
const coarseClock = time.Second

// lookAt has what is newest delivered once more if the sink does not hold it. The
// delivery then decides whether it may be written. After an error nobody knows
// what the sink holds, and nothing follows from that.
func (l *looking) lookAt(ctx context.Context, account string) error {
	l.mu.Lock()
	r, has := l.receipts[KindToken][account]
	off := l.disabled.is()
	l.mu.Unlock()
	last := l.seen[account]
	delete(l.seen, account)
	if !has || off {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.Policy.Timeout)
	defer cancel()
	rec, err := l.Store.Load(ctx, account)
	if err != nil || rec.Version != r.version {
		return nil // a wake is on its way
	}
	began := l.sight(rec.Version)
	q := readback.Question{Since: last.lastSeen(began), Lightly: true, Wrote: r.delivery(l.Name, account)}
	held, finding, err := readBack{l.setup}.look(ctx, rec, q)
	switch {
	case err != nil:
		return err
	case held.Rest && l.Wall().Sub(held.At).Abs() < halfWritten:
	case finding == readback.Living:
		readBack{l.setup}.found(account)
	case held.Untouched:
		l.seen[account] = last
	case asGiven(rec, held, finding):
		l.seen[account] = began
	case !rec.Token.Valid(l.Wall()): // what is dead is delivered to nobody, and may have been let go of
	default:
		l.lose(rec, held)
	}
	return nil
}

// asGiven says whether what is held need not be put right.
func asGiven(rec store.Record, held readback.Held, f readback.Finding) bool {
	if held.Told {
		return held.Version >= rec.Version
	}
	switch f {
	case readback.Ours:
		return !stale(rec, held)
	case readback.Silent:
		d := held.Document
		return d.AccessToken.IsZero() || d.Expiry.IsZero() || !stale(rec, held)
	}
	return false
}

// stale says whether the sink holds an access token that is older than ours.
func stale(rec store.Record, held readback.Held) bool {
	return !held.Document.AccessToken.Equal(rec.Token.AccessToken) && held.Document.Expiry.Before(rec.Token.Expiry())
}

// lose has the record delivered once more, as the destination does not hold it.
func (l *looking) lose(rec store.Record, held readback.Held) {
	k := key{KindToken, rec.Account}
	l.mu.Lock()
	e := l.entry(k)
	e.lost = true
	e.fallBehind(l.Wall())
	l.wish(e, onceMore)
	l.mu.Unlock()
	level := slog.LevelDebug
	if l.Policy.loud(l.mends.add(rec.Account, time.Now())) {
		level = slog.LevelWarn
	}
	if l.ReadBack.BeforeWriting != nil && l.ReadBack.BeforeWriting(rec) {
		return // the delivery tells
	}
	what := "holds nothing"
	if held.Told {
		what = fmt.Sprintf("holds version %d", held.Version)
	}
	l.publish(note{level, event.Event{
		Type: event.SinkMended, Account: rec.Account, Provider: rec.Provider, Version: rec.Version,
		Message: fmt.Sprintf("sink %q %s of account %s, though it had version %d, which is delivered again", l.Name, what, rec.Account, rec.Version),
	}})
}

// tell tells once why nobody knows what the sink holds.
func (l *looking) tell(err error) {
	if l.told == err.Error() {
		return
	}
	l.told = err.Error()
	l.publish(note{slog.LevelDebug, event.Event{
		Type: event.SinkUnseen, Message: fmt.Sprintf("nobody knows what sink %q holds: %v; it is asked again at the next look", l.Name, err),
	}})
}
