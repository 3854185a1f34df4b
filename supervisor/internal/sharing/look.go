package sharing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// ErrUnseen: nobody knows what is in the file. It may hold a newer token.
var ErrUnseen = errors.New("the shared file can't be read")

// Compare says how a document stands to the account's record.
type Compare func(format.Document) (lineage.Ours, lineage.Judgement)

// Question is what a person is asked about a shared file: its text, and the ways out.
type Question struct {
	Text, Ways   string
	ours, theirs string // fingerprints
}

// Sight is what a look at the file has brought.
type Sight struct {
	// Newer is a token that is newer than the account's; nil: there is none.
	Newer *format.Document
	// Asked is what a person has to decide before a token of the account is sent,
	// because of what was seen; its text is "" if nothing. News: he was not asked yet.
	Asked Question
	News  bool
	// Zone: it was just seen that the local times in the file can't be right.
	Zone bool
}

// Look reads the file again, under its lock. What is known to be older than the
// account's record, or is damaged, is put right. By is how the account gets a token in
// another way. The error is [ErrUnseen] if nobody knows what is in the file.
func (s *Share) Look(ctx context.Context, rec store.Record, compare Compare, by advice.Token) (Sight, error) {
	d, err := read(ctx, s.file, canMend(rec))
	s.mu.Lock()
	if s.lacks = err; s.locked { // it is put right, or told otherwise
		s.lacks = nil
	}
	s.mu.Unlock()
	switch {
	case holdsNothing(err):
		if seen, unknown := (remainder{s}).judge(d, compare, by); unknown {
			return seen, nil
		}
		s.answered()
		s.mend(rec, err)
		return Sight{}, nil
	case err != nil:
		return Sight{}, fmt.Errorf("%w: %w", ErrUnseen, err)
	}
	o, j := compare(d)
	older := j.Verdict == lineage.Past || j.Verdict == lineage.Stale
	known := older || j.Verdict.Newer() || nothingToDo(j.Verdict)
	seen := Sight{Zone: s.judgeZone(d, o, j.Verdict)}
	if known {
		s.answered()
	}
	switch {
	case j.Verdict.Newer():
		seen.Newer = &d
	case rec.Ended() && (older || j.Verdict == lineage.Refused): // ours would not work, either
		_ = TakeOut(s, rec, d.RefreshToken) // it is told, and tried again
	case older:
		put(s, rec, "an older token than ours, which would not work any more")
	case j.Verdict == lineage.Silent && canMend(rec): // as after [TakeOut], and now there is one
		put(s, rec, "no refresh token")
	case !known:
		seen.Asked, seen.News = s.ask(d, o, j, by, "")
	}
	return seen, nil
}

// put puts the newest token into the file, which held something that is worth less.
func put(s *Share, rec store.Record, held string) {
	if s.Write(rec) {
		s.Publish(slog.LevelWarn, event.Event{
			Type: event.SharedFileMended, Version: rec.Version,
			Message: "the shared file held " + held + "; the newest was put there",
		})
	}
}

// Lacks is what is wrong with the file of s, by the last look at it without its lock, and
// what would become of it with that; "": nothing. unseen: nobody knows what is in it.
func Lacks(s *Share, rec store.Record) (text string, unseen bool) {
	if s == nil {
		return "", false
	}
	s.mu.Lock()
	why := s.lacks
	s.mu.Unlock()
	switch {
	case why == nil:
		return "", false
	case !holdsNothing(why):
		return fmt.Sprintf("%v: %v", ErrUnseen, why), true
	case errors.Is(why, fs.ErrNotExist):
		text = "the shared file is not there"
	default:
		text = "the shared file is empty or damaged"
	}
	if canMend(rec) {
		text += ", and our newest token would be put there"
	}
	return text, false
}

// nothingWhole says whether no refresh token stands whole in what is left of a file.
func nothingWhole(d format.Document) bool { return d.RefreshToken.IsZero() && len(d.Several) == 0 }

// printOf tells by which refresh tokens a document is the one that was seen before.
func printOf(d format.Document) string {
	all := []string{d.RefreshToken.Fingerprint()}
	for _, one := range d.Several {
		all = append(all, one.Fingerprint())
	}
	return strings.Join(all, " ")
}

// remainder is what is left of a file that is cut off or damaged.
type remainder struct{ *Share }

// judge judges a refresh token that stands whole in a file that is cut off or damaged like
// one in a whole file, because that may be the only copy of it. Of several it is none that is
// newer. unknown: it is none that
// ours has replaced, and none since which the broker has given us ours, so that nothing may
// be written over it.
func (s remainder) judge(d format.Document, compare Compare, by advice.Token) (seen Sight, unknown bool) {
	if nothingWhole(d) {
		return Sight{}, false
	}
	switch o, j := compare(d); {
	case j.Verdict == lineage.Newer:
		s.answered()
		return Sight{Newer: &d}, true
	case j.Verdict.Known(), j.Verdict == lineage.Outlived:
		return Sight{}, false
	default:
		kept, err := s.file.KeepRest()
		if err != nil {
			kept = fmt.Sprintf("the file alone (%v)", err)
		}
		seen.Asked, seen.News = s.ask(d, o, j, by, kept)
		return seen, true
	}
}

// nothingToDo says whether there is nothing to do about a shared file.
func nothingToDo(v lineage.Verdict) bool {
	return v == lineage.Silent || v == lineage.Same || v == lineage.Refused
}

// Differs says whether the file, as it is without its lock, does not hold the account's
// newest token, or holds it although its login is over. It is the regular look, for where no notice of a change comes.
func (s *Share) Differs(rec store.Record, compare Compare) bool {
	d, err := s.file.Read()
	switch {
	case err != nil && !holdsNothing(err):
		return false
	case err != nil && canMend(rec):
		return true
	}
	switch _, j := compare(d); j.Verdict {
	case lineage.Refused:
		return rec.Ended()
	case lineage.Silent:
		return canMend(rec)
	default:
		return !nothingToDo(j.Verdict)
	}
}

// A program that writes in place and without the lock leaves the file empty or
// cut off for a moment: a file with nothing whole in it is read again, so often and
// so far apart, before that is believed.
const (
	readsAgain = 3
	readAgain  = 200 * time.Millisecond
)

// read reads a file under its lock; mendable: it could be mended.
func read(ctx context.Context, file *bounded, mendable bool) (d format.Document, err error) {
	for n := 0; ; n++ {
		d, err = file.Read()
		if n == readsAgain || !holdsNothing(err) || !mendable && nothingWhole(d) {
			return d, err
		}
		select {
		case <-ctx.Done():
			return d, err
		case <-time.After(readAgain):
		}
	}
}

// answered ends what a person was asked.
func (s *Share) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = Question{}
}

// judgeZone notes whether the local times in a file can be right, and says that they
// can't. Of a token that we know the file tells nothing: it may have been written again
// after that had died.
func (s *Share) judgeZone(d format.Document, o lineage.Ours, v lineage.Verdict) (wrong bool) {
	if v == lineage.Silent || v == lineage.OtherAccount || v.Known() && v != lineage.Renewed {
		return false
	}
	fault := lineage.ZoneFault(d, o.Policy, s.account.Clock.Now().Wall)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.zone = fault
	return fault != ""
}

// ask asks a person, because a token stands in the file of which nobody knows where it
// comes from: it or ours may have replaced the other, and to use the wrong one could end
// the grant. kept is where what is left of the file is, if it is cut off or damaged.
func (s *Share) ask(d format.Document, o lineage.Ours, j lineage.Judgement, by advice.Token, kept string) (q Question, news bool) {
	mine, theirs := o.Record.Token.RefreshToken.Fingerprint(), printOf(d)
	now := s.account.Clock.Now().Wall
	s.mu.Lock()
	defer s.mu.Unlock()
	if news = s.asked.Text == "" || s.asked.ours != mine || s.asked.theirs != theirs; news {
		text := o.Words("the shared file", lineage.Found{Document: d}, j, now)
		if kept != "" {
			text += "; it is cut off or damaged, and what is left of it is kept in " + kept
		}
		s.asked = Question{Text: text, Ways: ways(o, j, by, kept != ""), ours: mine, theirs: theirs}
	}
	return s.asked, news
}

// ways are the ways out of a question about a shared file; by is how the account gets
// a token without it. rest: it is cut off or damaged.
func ways(o lineage.Ours, j lineage.Judgement, by advice.Token, rest bool) string {
	over := fmt.Sprintf("to go on with ours and write it into the file: tokenkeeper refresh %s --force", o.Account)
	switch {
	case j.Left != "":
		return j.Renamed(o.Account) + "; or " + by.With("")
	case j.Verdict == lineage.OtherAccount && o.Record.Version == 0:
		return "put this account's own file there, or " + by.With("")
	case j.Verdict == lineage.OtherAccount:
		return "put this account's own file there, or " + over
	}
	take := "to take the file's token"
	if rest {
		take += ", mend it and run"
	}
	return fmt.Sprintf("%s: tokenkeeper import %s FILE --force; %s", take, o.Account, over)
}
