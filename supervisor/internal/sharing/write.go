package sharing

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Write brings the newest token to the file, whose lock is held. A failure is told and
// left to the next look: the record is safe.
func (s *Share) Write(rec store.Record) bool {
	if !s.IsLocked() {
		return false
	}
	err := s.file.Write(s.account.document(rec))
	crashpoint.Here("shared: written")
	if !replaced(err) {
		diskTrouble(s, rec, "the newest token could not be written to the shared file, whose other readers still see the old one: %v. It is tried again", err)
		return false
	}
	s.mu.Lock()
	s.asked, s.zone = Question{}, "" // our own token and times stand there
	s.mu.Unlock()
	s.written(rec, err)
	return true
}

// written ends what was told of the file's disk, or tells that this did not make the
// token durable.
func (s *Share) written(rec store.Record, err error) {
	if err == nil {
		s.Over(event.DiskTrouble)
		return
	}
	diskTrouble(s, rec, "the newest token is in the shared file, and its readers see it, but the disk has not confirmed it: %v. "+
		"Look at the disk; what a loss of power takes back is put right when the file is looked at", err)
}

// diskTrouble tells what became of a token that should be in the file; err goes into the
// text.
func diskTrouble(s *Share, rec store.Record, text string, err error) {
	DiskTrouble(s, err, event.Event{Version: rec.Version, Message: fmt.Sprintf(text, err)})
}

// MayReplace says whether a record may take the place of what the file holds, with
// which it is compared: nothing is lost by it, or a person has been asked about that
// very token, and wants it so. Of an answer that comes late, nobody knows that: meanwhile
// another program may have refreshed from the file, or logged in, and nobody has that
// token but the file. What it may not replace is for a look.
func (s *Share) MayReplace(o lineage.Ours) bool {
	d, err := s.file.readLocked()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true
	case errors.Is(err, format.ErrUnreadable) && !nothingWhole(d): // it is cut off, and judged as if it were whole
	case errors.Is(err, format.ErrUnreadable): // perhaps for a moment: a look reads it again, and keeps what is left
		return false
	case err != nil && s.past:
		return false // but superseded
	case err != nil: // it is put there at a look that can read it
		diskTrouble(s, o.Record, "the newest token was not written to the shared file, which can't be read and may hold a newer one: %v. "+
			"It is written once the file can be read, or is gone", err)
		return false
	}
	s.mu.Lock()
	decided := s.asked.theirs != "" && s.asked.theirs == printOf(d)
	s.mu.Unlock()
	switch v := o.Judge(lineage.Found{Document: d}, s.account.Clock.Now().Wall).Verdict; v {
	case lineage.Silent, lineage.Outlived:
		return true
	default:
		return decided || v.Known() && !v.Newer()
	}
}

// TakeOut takes a refresh token whose login is over, which rec says, out of the file of s, whose
// lock is held: programs that find none there know that somebody must log in. The access
// token stays, as sinks keep theirs. A failure is told, and left to the next look.
func TakeOut(s *Share, rec store.Record, dead sdk.Secret) error {
	if !s.IsLocked() {
		return nil
	}
	tell := func(took bool) {
		if took {
			s.Publish(slog.LevelWarn, event.Event{
				Type: event.SharedFileMended, Version: rec.Version,
				Message: "the login is over, and its dead refresh token was taken out of the shared file. Its access token stays there until somebody logs in",
			})
		}
	}
	took, err := s.file.TakeOut(dead, tell)
	crashpoint.Here("shared: taken out")
	if err != nil && !took {
		diskTrouble(s, rec, "the login is over, and its dead refresh token could not be taken out of the shared file, whose other readers may take it for a living one: %v. "+
			"It is tried again", err)
		return err
	}
	s.Over(event.DiskTrouble)
	tell(took)
	return nil
}

// canMend says whether there is anything to put into a shared file that holds
// nothing.
func canMend(rec store.Record) bool {
	return rec.Version > 0 && !rec.Refused() && !rec.Token.RefreshToken.IsZero()
}

// mend puts the newest token into a file that holds nothing, and whose lock is held: its
// other programs would stand still until the next refresh.
func (s *Share) mend(rec store.Record, why error) {
	if !canMend(rec) || !s.locked {
		s.Log().Debug("nothing usable is in the shared file", "error", why)
		return
	}
	tell := func(kept string) {
		message := "the shared file was not there; it is now, with the newest token"
		if !errors.Is(why, fs.ErrNotExist) {
			message = "the shared file was empty or damaged; it was put right with the newest token"
		}
		if kept != "" {
			message += ". What was in it is kept in " + kept + ", and may be removed"
		}
		s.Publish(slog.LevelWarn, event.Event{Type: event.SharedFileMended, Version: rec.Version, Message: message})
	}
	kept, err := s.file.Mend(s.account.document(rec), ifReplaced(tell))
	crashpoint.Here("shared: mended")
	if !replaced(err) {
		diskTrouble(s, rec, "the shared file is gone, empty or damaged, and the newest token could not be put there, so that its other readers have none: %v. "+
			"It is tried again", err)
		return
	}
	s.written(rec, err)
	tell(kept)
}

// replaced says whether the file was replaced, by the error of that: readers see the new
// one, though the disk may not have confirmed it.
func replaced(err error) bool { return err == nil || errors.Is(err, atomicfile.ErrNotDurable) }

// ifReplaced tells where the old file is kept, if it was replaced.
func ifReplaced(tell func(kept string)) func(kept string, err error) {
	return func(kept string, err error) {
		if replaced(err) {
			tell(kept)
		}
	}
}
