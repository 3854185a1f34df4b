package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// When an attempt is made again that was sent and whose outcome nobody knows.
// supervisor/README.md has the rules as a table, which a test compares with what
// happens.

const (
	// nearEnd is how long before the death of the access token that consumers
	// hold the first replay is made at the latest.
	nearEnd = 10 * time.Second
	// replayFirst and replayMost bound the pauses after a replay whose answer
	// was lost, too: they double, and at most 12 are made in an hour.
	replayFirst = 30 * time.Second
	replayMost  = 5 * time.Minute
	// graceFirst is the pause after the second try within a reuse grace.
	graceFirst = 2 * time.Second
	// lastChance is how long before the death of what was sent it is sent once more,
	// although its answer lies unread, or the next turn would come after that: then
	// nothing is left to lose by it.
	lastChance = 30 * time.Second
)

// sends are an attempt whose outcome is unknown, and its replays.
type sends struct {
	// first and last are when the first and the newest of them were begun that
	// may have reached the server, and sends how many those are.
	first, last time.Time
	sends       int
	// unread: an answer came that may hold the new refresh token, and nobody
	// could read it.
	unread bool
	// refused: the broker refused the client that came with it.
	refused bool
}

func sendsOf(in store.Intent) sends {
	o := sends{first: in.AmbiguousSince, last: in.SentAt, sends: max(in.Sends, 1), unread: in.Unread, refused: in.ClientRefused != ""}
	if o.last.IsZero() { // noted by an earlier version
		o.last = in.At
	}
	return o
}

// replayAt is when the next is made, of what dies by itself at refreshEnd (zero:
// unknown), beside an access token that ends at expiry.
func (o sends) replayAt(t Terms, refreshEnd, expiry, now time.Time) (at time.Time, why string) {
	switch {
	case o.refused && t.SameSecrets:
		return time.Time{}, ""
	case o.refused && o.sends <= 1:
		return o.last, "with another client secret"
	}
	if at := o.last.Add(graceAfter(o.sends)); t.Grace > 0 && moment.Later(at, now).Before(o.first.Add(t.Grace)) {
		return at, "the server accepts it a second time for a while"
	}
	if o.unread {
		last := refreshEnd.Add(-lastChance)
		if refreshEnd.IsZero() || !o.last.Before(last) {
			return time.Time{}, ""
		}
		return last, "shortly before it dies by itself, unless somebody has mended the answer that nobody could read"
	}
	at, why = o.inTurn(t, expiry)
	if last := refreshEnd.Add(-lastChance); !o.refused && !refreshEnd.IsZero() && o.last.Before(last) && last.Before(at) {
		return moment.Later(last, o.last.Add(graceFirst)), "because it is about to die by itself"
	}
	return at, why
}

// inTurn is when the next is made that is no last chance.
func (o sends) inTurn(t Terms, expiry time.Time) (at time.Time, why string) {
	if o.sends > 1 {
		return o.last.Add(doubled(replayFirst, o.sends-2, replayMost)), "with growing pauses, at most 12 times an hour"
	}
	at = o.last.Add(t.Timeout)
	if end := expiry.Add(-nearEnd); !expiry.IsZero() && end.Before(at) {
		return moment.Later(end, o.last.Add(graceFirst)), "because the access token is about to end"
	}
	return at, "when no answer can come any more"
}

// mintAt is when a mint is made again whose answer is lost. Nothing is lost with that,
// but two under way at once might end each other's token: so it waits until no answer
// can come any more, whatever consumers hold. An answer that nobody could read makes
// no difference.
func (o sends) mintAt(t Terms) (at time.Time, why string) {
	wait := t.Timeout
	if o.sends > 1 {
		wait = max(wait, doubled(replayFirst, o.sends-2, replayMost))
	}
	return o.last.Add(wait), "when no answer can come any more, because two at once might end each other's token"
}

func graceAfter(sends int) time.Duration {
	if sends <= 1 {
		return 0
	}
	return doubled(graceFirst, sends-2, replayMost)
}

func doubled(first time.Duration, times int, most time.Duration) time.Duration {
	if times > 16 {
		return most
	}
	return min(first<<times, most)
}
