package account

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// A mint presents a key, and no token: it needs none, and begins a grant of its own.
// Its key is part of the account's record, as it is configured now.

// Kind is the attempt by which the account gets its next token by itself:
// spool.KindRefresh, KindRenew or KindMint; "": none, somebody logs in. The replay of
// an attempt is of the same kind, and what follows one that is given up is not.
func (s State) Kind(t Terms, now time.Time) string {
	rec := s.Standing.of()
	_, refused := s.Standing.(Refused)
	in, givenUp := s.Ambiguous(), s.isGivenUp(t, now)
	switch {
	case in != nil && !givenUp && (s.Stored() || in.Kind != spool.KindRefresh && in.Kind != spool.KindRenew):
		return in.Kind // without a record there is no token to send again
	case rec.Key != "" && (rec.Way == store.WayMint || !s.Stored() || refused || (t.Over || givenUp) && rec.CanMint()):
		return spool.KindMint
	case !s.Stored():
		return ""
	}
	return KindOf(rec.Way)
}

// KindOf is the attempt that sends what a record spends; "": there is none.
func KindOf(w store.Way) string {
	switch w {
	case store.WayRefresh:
		return spool.KindRefresh
	case store.WayRenew:
		return spool.KindRenew
	}
	return ""
}

// mayBegin says whether an attempt of that kind may be made now: what was refused is
// sent only if somebody asks.
func (s State) mayBegin(kind string, asked bool) bool {
	_, refused := s.Standing.(Refused)
	if kind == spool.KindMint {
		refused = !s.Standing.of().CanMint()
	}
	return kind != "" && (asked || !refused)
}

// denied notes that the server refused what an attempt of that kind has sent, if that
// is what the account would send now.
func denied(rec store.Record, kind, fingerprint string) store.Record {
	switch {
	case kind == spool.KindMint && rec.Key == fingerprint:
		rec.Health.KeyRefused = fingerprint
	case kind != spool.KindMint && rec.Spends().Fingerprint() == fingerprint:
		rec.Health.NeedsLogin = fingerprint
	}
	return rec
}

// harmless says whether nothing is lost with the answer to that attempt: what was sent
// stays good. A broker that has replaced a refresh token at the last refresh is not
// believed to leave it.
func (s State) harmless(t Terms, in store.Intent) bool {
	rec := s.Standing.of()
	if in.Kind == spool.KindMint {
		return t.MintsBeside
	}
	return t.Stays && (rec.Way != store.WayRefresh || rec.Parent == "" || rec.Parent == rec.Token.RefreshToken.Fingerprint())
}

// mintAt is when a mint is made again whose answer is lost. Nothing is lost with that,
// but two under way at once might end each other's token: so it waits until no answer
// can come any more, whatever consumers hold. An answer that nobody could read makes
// no difference.
func mintAt(o sends, t Terms) (at time.Time, why string) {
	wait := t.Timeout
	if o.sends > 1 {
		wait = max(wait, doubled(replayFirst, o.sends-2, replayMost))
	}
	return o.last.Add(wait), "when no answer can come any more, because two at once might end each other's token"
}

// keyed is the account with that key.
func (s State) keyed(key string) State {
	if s.Standing.of().Key == key {
		return s
	}
	rec := s.Standing.Record()
	rec.Key = key
	return s.with(rec)
}
