package sharing

import (
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Unread is the share of an account in a file that can't be read.
type Unread struct{ *Share }

// why says why nobody knows what is in the file; nil: it can be read, or is not there.
func (s Unread) why() error {
	if _, err := s.file.Read(); !holdsNothing(err) {
		return err
	}
	return nil
}

// CanBeRead says whether a file that could not be read can be by now, so that it deserves
// another look.
func (s Unread) CanBeRead() bool { return s.why() == nil }

// GoPast notes that our record is used although the file can't be read: see
// [Unread.Supersede].
func (s Unread) GoPast() { s.past = s.IsLocked() }

// Supersede puts the newest token in the place of a file past which our record was used,
// and that still can't be read. The broker has taken our refresh token, so whatever is
// there is not newer, unless it is of another login: it is kept. If it was not put there,
// the file is for a look.
func (s Unread) Supersede(rec store.Record) bool {
	if !s.past || !canMend(rec) || s.why() == nil {
		return false
	}
	tell := func(kept string) {
		s.Publish(slog.LevelWarn, event.Event{
			Type: event.SharedFileMended, Version: rec.Version,
			Message: "the shared file could not be read; the newest token was put in its place. What was there is kept in " + kept +
				": if it holds a token of another login, import that; otherwise it may be removed",
		})
	}
	kept, err := s.file.Supersede(s.account.document(rec), ifReplaced(tell))
	crashpoint.Here("shared: mended")
	if !replaced(err) {
		diskTrouble(s.Share, rec, "the shared file can't be read, and the newest token could not be put in its place, so that its other readers have a dead one: %v. "+
			"It is tried again", err)
		return false
	}
	s.mu.Lock()
	s.asked, s.zone = Question{}, ""
	s.mu.Unlock()
	s.written(rec, err)
	tell(kept)
	return true
}
