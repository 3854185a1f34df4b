package sharing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/advice"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// memory is a file in memory.
type memory struct {
	doc    format.Document
	err    error // of Read
	rest   bool  // doc is what is left of it
	taken  error // of Lock
	full   error // of Prove
	unput  error // of Write and Mend
	writes int
	kept   time.Duration
}

func (m *memory) Lock(context.Context) (func() error, error) {
	return func() error { return nil }, m.taken
}
func (m *memory) Held() error                          { return m.taken }
func (m *memory) Lend(give func(fd int) error) error   { return give(3) }
func (m *memory) Keep(d time.Duration)                 { m.kept = d }
func (m *memory) Inherit(*os.File, time.Duration) bool { return false }
func (m *memory) Forgo()                               { m.kept = 0 }
func (m *memory) KeepRest() (string, error)            { return "/bots/t.json.damaged", nil }
func (m *memory) Prove() error                         { return m.full }
func (m *memory) Replaceable() error                   { return m.full }
func (m *memory) Read() (format.Document, error) {
	if m.err != nil && !m.rest {
		return format.Document{}, m.err
	}
	return m.doc, m.err
}
func (m *memory) Write(d format.Document) error {
	if m.unput == nil || errors.Is(m.unput, atomicfile.ErrNotDurable) {
		m.doc, m.err = d, nil
		m.writes++
	}
	return m.unput
}
func (m *memory) Mend(d format.Document) (string, error) { return "", m.Write(d) }
func (m *memory) Supersede(d format.Document) (string, error) {
	return "/bots/t.json.damaged", m.Write(d)
}

func (m *memory) TakeOut(dead sdk.Secret) (bool, error) {
	took := m.unput == nil && m.doc.RefreshToken.Equal(dead)
	if took {
		m.doc.RefreshToken = sdk.Secret{}
	}
	return took, m.unput
}

// held is the error of a lock that another program has had for that long.
type held time.Duration

func (held) Error() string            { return "another program holds it" }
func (h held) HeldFor() time.Duration { return time.Duration(h) }

func share(m *memory) *Share {
	return shareOn(m, event.NewBus(slog.New(slog.DiscardHandler), time.Now))
}

func shareOn(m *memory, bus *event.Bus) *Share { return shareWith(m, bus, bus.NewFacts()) }

func shareWith(file File, bus *event.Bus, facts *event.Facts) *Share {
	return New(Account{
		Account: sdk.Account{Name: "one"}, Secret: func(string) sdk.Secret { return sdk.Secret{} }, Timeout: time.Minute, Clock: schedule.NewClock(time.Now, nil),
		Voice: event.NewVoice("fake", "one", bus, facts, slog.New(slog.DiscardHandler)),
	}, file)
}

func record() store.Record {
	return store.Record{Account: "one", Version: 1, Token: sdk.Token{
		AccessToken: sdk.NewSecret("access-1"), RefreshToken: sdk.NewSecret("refresh-1"), IssuedAt: time.Now(), Lifetime: time.Hour,
	}}
}

func lock(t *testing.T, s *Share) (release func()) {
	t.Helper()
	release, err := s.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return release
}

// judged compares every document alike.
func judged(rec store.Record, v lineage.Verdict) Compare {
	return func(format.Document) (lineage.Ours, lineage.Judgement) {
		return lineage.Ours{Account: "one", Record: rec}, lineage.Judgement{Verdict: v}
	}
}

// TestLookOfALoginThatIsOver: a token that a person has had revoked is put into no file, and
// taken out of the one in which it stands; one that was just refused stays where it is.
func TestLookOfALoginThatIsOver(t *testing.T) {
	revoked := func(h *store.Health) { h.Revoked = time.Now() }
	asked := func(h *store.Health) { h.RevokeAsked = time.Now() }
	for name, c := range map[string]struct {
		over    func(*store.Health)
		verdict lineage.Verdict
		left    bool
		unput   error
	}{
		"ours, revoked":                      {over: revoked, verdict: lineage.Refused},
		"ours, refused since that was asked": {over: asked, verdict: lineage.Refused},
		"older":                              {over: revoked, verdict: lineage.Past},
		"ours, refused":                      {over: func(*store.Health) {}, verdict: lineage.Refused, left: true},
		"unknown":                            {over: revoked, verdict: lineage.Unknown, left: true},
		"ours, on a full disk":               {over: revoked, verdict: lineage.Refused, left: true, unput: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			m, rec := &memory{doc: format.Document{AccessToken: sdk.NewSecret("access-1"), RefreshToken: sdk.NewSecret("refresh-1")}, unput: c.unput}, record()
			rec.Health.NeedsLogin = rec.Spends().Fingerprint()
			c.over(&rec.Health)
			s := share(m)
			if differs := s.Differs(rec, judged(rec, c.verdict)); differs != (name != "ours, refused") {
				t.Errorf("it differs: %t", differs)
			}
			defer lock(t, s)()
			if _, err := s.Look(t.Context(), rec, judged(rec, c.verdict), advice.Token{Account: "one"}); err != nil {
				t.Fatal(err)
			}
			if m.doc.RefreshToken.IsZero() == c.left || m.doc.AccessToken.Reveal() != "access-1" || m.writes > 0 {
				t.Errorf("it holds %q, %d writes", m.doc.RefreshToken.Reveal(), m.writes)
			}
			if err := TakeOut(s, rec, rec.Token.RefreshToken); !errors.Is(err, c.unput) {
				t.Errorf("once more: %v", err)
			}
		})
	}
	m := &memory{doc: format.Document{RefreshToken: sdk.NewSecret("refresh-1")}}
	if err := TakeOut(share(m), record(), sdk.NewSecret("refresh-1")); err != nil || m.doc.RefreshToken.IsZero() {
		t.Errorf("without the lock: %v", err)
	}
	var none *Share
	if err := TakeOut(none, record(), sdk.NewSecret("refresh-1")); err != nil {
		t.Errorf("without a file: %v", err)
	}
}

// TestLook: what is done about a shared file by what stands there.
func TestLook(t *testing.T) {
	theirs := format.Document{RefreshToken: sdk.NewSecret("refresh-2")}
	for name, c := range map[string]struct {
		err          error
		verdict      lineage.Verdict
		newer, asked bool
		writes       int
		fails        error
	}{
		"newer":       {verdict: lineage.Newer, newer: true},
		"the same":    {verdict: lineage.Same},
		"no token":    {verdict: lineage.Silent, writes: 1},
		"older":       {verdict: lineage.Past, writes: 1},
		"unknown":     {verdict: lineage.Unknown, asked: true},
		"gone":        {err: fs.ErrNotExist, writes: 1},
		"damaged":     {err: format.ErrUnreadable, writes: 1},
		"unreachable": {err: fs.ErrPermission, fails: ErrUnseen},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, rec := &memory{doc: theirs, err: c.err}, record()
				s := share(m)
				defer lock(t, s)()
				seen, err := s.Look(t.Context(), rec, judged(rec, c.verdict), advice.Token{Account: "one"})
				if !errors.Is(err, c.fails) || (seen.Newer != nil) != c.newer || (seen.Asked.Text != "") != c.asked || seen.News != c.asked || m.writes != c.writes {
					t.Errorf("seen %+v, %d writes, %v", seen, m.writes, err)
				}
				if c.writes > 0 && m.doc.RefreshToken.Reveal() != "refresh-1" {
					t.Errorf("written was %q", m.doc.RefreshToken.Reveal())
				}
			})
		})
	}
}

// TestLookAtTheRest: a refresh token that stands whole in what is left of a file is judged
// like one in a whole file: it may be the only copy. Ours, and what the broker has outdone,
// are written over.
func TestLookAtTheRest(t *testing.T) {
	for name, c := range map[string]struct {
		verdict      lineage.Verdict
		newer, asked bool
	}{
		"newer":             {verdict: lineage.Newer, newer: true},
		"unknown":           {verdict: lineage.Unknown, asked: true},
		"doubtful":          {verdict: lineage.Doubtful, asked: true},
		"another account's": {verdict: lineage.OtherAccount, asked: true},
		"ours":              {verdict: lineage.Same},
		"ours, bare":        {verdict: lineage.Stale},
		"older":             {verdict: lineage.Past},
		"outlived":          {verdict: lineage.Outlived},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, rec := &memory{doc: format.Document{RefreshToken: sdk.NewSecret("refresh-2")}, err: format.ErrUnreadable, rest: true}, record()
				s := share(m)
				defer lock(t, s)()
				seen, err := s.Look(t.Context(), rec, judged(rec, c.verdict), advice.Token{Account: "one"})
				if err != nil || (seen.Newer != nil) != c.newer || (seen.Asked.Text != "") != c.asked || (m.writes > 0) == (c.newer || c.asked) {
					t.Errorf("seen %+v, %d writes, %v", seen, m.writes, err)
				}
				several := share(&memory{doc: format.Document{Several: []sdk.Secret{sdk.NewSecret("refresh-2"), sdk.NewSecret("refresh-3")}}, err: format.ErrUnreadable, rest: true})
				if seen, err := several.Look(t.Context(), rec, judged(rec, c.verdict), advice.Token{Account: "one"}); c.asked && (err != nil || seen.Asked.Text == "" || seen.Newer != nil) {
					t.Errorf("of several: %+v, %v", seen, err)
				}
				if c.asked && (!strings.Contains(seen.Asked.Text, "/bots/t.json.damaged") || !s.Differs(rec, judged(rec, c.verdict))) {
					t.Errorf("nobody is told where the rest is kept, or looks again: %s", seen.Asked.Text)
				}
			})
		})
	}
}

// TestQuestionIsOfOneToken: what is asked is news once, counts for the refresh token of
// which it was asked, and ends when ours stands in the file.
func TestQuestionIsOfOneToken(t *testing.T) {
	m, rec := &memory{doc: format.Document{RefreshToken: sdk.NewSecret("refresh-2")}}, record()
	s := share(m)
	defer lock(t, s)()
	ours := rec.Token.RefreshToken.Fingerprint()
	for n, news := range []bool{true, false} {
		seen, err := s.Look(t.Context(), rec, judged(rec, lineage.Unknown), advice.Token{Account: "one"})
		if err != nil || seen.News != news || s.Asked(ours).Text == "" || !strings.Contains(seen.Asked.Ways, "tokenkeeper import one FILE --force") {
			t.Errorf("look %d: %+v, %v", n, seen, err)
		}
	}
	if q := s.Asked("another"); q != (Question{}) {
		t.Errorf("it is asked of another token: %+v", q)
	}
	if !s.Write(rec) || s.Asked(ours) != (Question{}) {
		t.Error("it is still asked")
	}
}

// TestNothingWithoutTheLock: without the lock, and without a file, nothing is written,
// proved, lent or kept.
func TestNothingWithoutTheLock(t *testing.T) {
	m := &memory{full: errors.New("full")}
	for name, s := range map[string]*Share{"no lock": share(m), "no file": nil} {
		_, err := s.Prove()
		lent := s.Lend(func(int) error { return errors.New("lent") })
		s.Keep()
		s.ProveForLogin()
		if s.Write(record()) || err != nil || lent != nil || m.writes != 0 || m.kept != 0 || s.IsLocked() {
			t.Errorf("%s: proved %v, lent %v, %+v", name, err, lent, m)
		}
	}
}

// TestALoginPastAFullDisk: that the token of a login may not reach the file, whose other
// readers may lose theirs with it, is told as a trouble; writing it ends that.
func TestALoginPastAFullDisk(t *testing.T) {
	m, rec := &memory{full: errors.New("shared file /bots/t.json can't be replaced: no space is left")}, record()
	bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
	facts := bus.NewFacts()
	s := New(Account{
		Account: sdk.Account{Name: "one"}, Secret: func(string) sdk.Secret { return sdk.Secret{} }, Timeout: time.Minute, Clock: schedule.NewClock(time.Now, nil),
		Voice: event.NewVoice("fake", "one", bus, facts, slog.New(slog.DiscardHandler)),
	}, m)
	defer lock(t, s)()
	s.ProveForLogin()
	all := facts.All()
	if len(all) != 1 || all[0].Type != event.DiskTrouble || !strings.Contains(all[0].What, "no space is left. A login is under way") {
		t.Errorf("told: %+v", all)
	}
	m.full = nil
	if !s.Write(rec) || len(facts.All()) != 0 {
		t.Errorf("written, and told: %+v", facts.All())
	}
}

// TestWhoKeepsUsOut: a lock that is refused, or that others hold for long, alone or one
// after the other, takes a person, and that is news once; one that was had ends it.
func TestWhoKeepsUsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := share(&memory{})
		if long, _ := s.ShutOut(context.DeadlineExceeded); long {
			t.Error("we gave up ourselves")
		}
		if long, news := s.ShutOut(held(time.Second)); long || news {
			t.Error("it is held for a moment")
		}
		time.Sleep(heldLong)
		for n, want := range []bool{true, false} {
			if long, news := s.ShutOut(held(time.Second)); !long || news != want {
				t.Errorf("try %d: long %v, news %v", n, long, news)
			}
		}
		if shut, _ := s.Shut(); shut == "" {
			t.Error("nobody is told")
		}
		lock(t, s)()
		if shut, _ := s.Shut(); shut != "" {
			t.Errorf("it was had, and is shut: %s", shut)
		}
		if long, news := s.ShutOut(fs.ErrPermission); !long || !news {
			t.Error("it is refused")
		}
	})
}

// TestMayReplace: an answer's token takes the place of what is known to be older, or of
// nothing. What can't be read is told, and left alone, as is what is being written.
func TestMayReplace(t *testing.T) {
	older := sdk.NewSecret("refresh-0")
	for name, c := range map[string]struct {
		token string
		err   error
		want  bool
		told  bool
	}{
		"older":       {token: "refresh-0", want: true},
		"unknown":     {token: "refresh-2"},
		"gone":        {err: fs.ErrNotExist, want: true},
		"half":        {err: format.ErrUnreadable},
		"unreachable": {err: syscall.EMFILE, told: true},
	} {
		t.Run(name, func(t *testing.T) {
			m, rec := &memory{doc: format.Document{RefreshToken: sdk.NewSecret(c.token)}, err: c.err}, record()
			rec.Fingerprints = []string{older.Fingerprint()}
			bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
			told := bus.Subscribe(10)
			s := shareOn(m, bus)
			defer lock(t, s)()
			if got := s.MayReplace(lineage.Ours{Account: "one", Record: rec}); got != c.want || (len(told.C) > 0) != c.told {
				t.Errorf("may replace: %t, told %d times", got, len(told.C))
			}
		})
	}
}

// TestWhatReadersSee: what is told of a disk that fails is what its readers see: an old
// token, none, or the newest, which may be lost.
func TestWhatReadersSee(t *testing.T) {
	notDurable := fmt.Errorf("%w: %w", atomicfile.ErrNotDurable, syscall.EIO)
	for name, c := range map[string]struct {
		stands, fails error
		want          string
		mended        bool
	}{
		"older, not written":   {fails: syscall.ENOSPC, want: "other readers still see the old one"},
		"older, not durable":   {fails: notDurable, want: "its readers see it, but the disk has not confirmed it", mended: true},
		"gone, not written":    {stands: fs.ErrNotExist, fails: syscall.ENOSPC, want: "its other readers have none"},
		"damaged, not durable": {stands: format.ErrUnreadable, fails: notDurable, want: "its readers see it, but the disk has not confirmed it", mended: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, rec := &memory{doc: format.Document{RefreshToken: sdk.NewSecret("refresh-0")}, err: c.stands, unput: c.fails}, record()
				bus := event.NewBus(slog.New(slog.DiscardHandler), time.Now)
				told := bus.Subscribe(10)
				s := shareOn(m, bus)
				defer lock(t, s)()
				if _, err := s.Look(t.Context(), rec, judged(rec, lineage.Past), advice.Token{Account: "one"}); err != nil {
					t.Fatal(err)
				}
				trouble, mended := "", false
				for len(told.C) > 0 {
					switch e := <-told.C; e.Type {
					case event.DiskTrouble:
						trouble = e.Message
					case event.SharedFileMended:
						mended = true
					}
				}
				if !strings.Contains(trouble, c.want) || mended != c.mended {
					t.Errorf("mended: %t; told: %s", mended, trouble)
				}
			})
		})
	}
}
