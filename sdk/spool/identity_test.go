package spool

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)

// The same folder is the same spool, also for the next process; every other
// one is another.
func TestID(t *testing.T) {
	dir := t.TempDir()
	id := idOf(t, dir)
	if again := idOf(t, dir); again != id {
		t.Errorf("the next process calls it %s, not %s", again, id)
	}
	for name, change := range map[string]func(t *testing.T, dir string){
		"the folder is made anew": func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"the folder is emptied":   func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, idName))) },
		"the id is cut off":       func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, idName), 20)) },
		"the id is empty":         func(t *testing.T, dir string) { must(t, os.Truncate(filepath.Join(dir, idName), 0)) },
		"the id is a folder": func(t *testing.T, dir string) {
			p := filepath.Join(dir, idName)
			must(t, os.Remove(p))
			must(t, os.Mkdir(p, 0o700))
		},
		"the folder is a copy":     func(t *testing.T, dir string) { replaceByCopy(t, dir, "-a") },
		"the folder is hard links": func(t *testing.T, dir string) { replaceByCopy(t, dir, "-al") },
		"a longer id is in the file": func(t *testing.T, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, idName), []byte("A"+id), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			id := idOf(t, dir)
			change(t, dir)
			other := idOf(t, dir)
			if other == id || other == "" && name != "the id is a folder" {
				t.Errorf("it is called %q, and was %q", other, id)
			}
			if again := idOf(t, dir); again != other {
				t.Errorf("the next process calls it %s, not %s", again, other)
			}
		})
	}
}

func replaceByCopy(t *testing.T, dir, how string) {
	must(t, exec.Command("cp", how, dir, dir+".copy").Run())
	must(t, os.Rename(dir, dir+".old")) // its number is not free for another folder
	must(t, os.Rename(dir+".copy", dir))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func idOf(t *testing.T, dir string) string {
	t.Helper()
	s, err := Open(t.Context(), dir, 1)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	return s.ID()
}

// Whoever announced an attempt for a spool that is lost is told so, before
// anything is sent; announced anew, the attempt is made in the new folder, where
// the next process finds it.
func TestFolderLostWhileItRuns(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, dir string){
		"removed":            func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) },
		"moved":              func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".away")) },
		"replaced by a copy": func(t *testing.T, dir string) { replaceByCopy(t, dir, "-a") },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			s := open(t, dir, 2)
			id := s.ID()
			open := begin(t, s, "open", "another")
			lose(t, dir)

			h := Header{Attempt: "a", Account: "main"}
			if _, _, err := s.BeginIn(id, h); !errors.Is(err, ErrAnotherSpool) {
				t.Fatalf("an attempt announced for the lost folder: %v", err)
			}
			now := s.ID()
			if now == id || now == "" {
				t.Fatalf("the new folder is called %q, the old one %q", now, id)
			}
			slot, _, err := s.BeginIn(now, h)
			must(t, err)
			record(t, slot, "the answer")
			record(t, open, "the answer of one that was under way")
			next := reopened(t, s, dir)
			wantAnswer(t, next, "a", "main", "the answer")
			wantAnswer(t, next, "open", "another", "the answer of one that was under way")
		})
	}
}

func reopened(t *testing.T, s *Spool, dir string) *Spool {
	t.Helper()
	must(t, s.Close())
	return open(t, dir, 1)
}

// A slot's file that somebody has removed takes no attempt, no note of how far one
// came, and no answer.
func TestSlotFileRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 2)
	for _, path := range glob(t, dir, slotPrefix+"*") {
		must(t, os.Remove(path))
	}
	slot := begin(t, s, "a", "main")
	must(t, os.Remove(slot.path))
	for _, p := range []Progress{Begun, Sent} {
		if err := slot.Advance(p); err == nil || slot.Progress() != Ready {
			t.Errorf("%s is noted where nobody finds it: %v", p, err)
		}
	}
	record(t, slot, "the answer")
	wantAnswer(t, reopened(t, s, dir), "a", "main", "the answer")
}

// An answer that nobody could read, and whose file somebody has removed since, is put
// aside from memory. One that is nowhere any more is in nobody's way.
func TestFileOfAnUnreadAnswerRemoved(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"removed":  func(string) error { return nil },
		"replaced": func(path string) error { return os.WriteFile(path, []byte("of somebody else"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, 1)
			slot := begin(t, s, "a", "main")
			record(t, slot, "the answer")
			was := slot.path
			must(t, os.Remove(was))
			must(t, replace(was))
			must(t, s.Settle("a", true))
			path, ok := s.Aside("a")
			if b, err := os.ReadFile(was); name == "replaced" && string(b) != "of somebody else" {
				t.Errorf("what stands in its place by now is touched: %q, %v", b, err)
			}
			if u, err := ReadUnread(path); !ok || err != nil || string(u.Answer) != "the answer" || u.Attempt != "a" {
				t.Errorf("put aside: %t, %+v, %v", ok, u, err)
			}
			begin(t, s, "b", "main")
		})
	}
	t.Run("damaged", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir, 1)
		record(t, begin(t, s, "a", "main"), "the answer")
		damage(t, dir, func(b []byte) []byte { b[answerOffset+frameHead+2] ^= 1; return b })
		s = reopened(t, s, dir)
		must(t, os.Remove(glob(t, dir, slotPrefix+"*")[0]))
		must(t, s.Settle("a", true))
		if path, ok := s.Aside("a"); ok {
			t.Errorf("put aside: %s", path)
		}
		begin(t, s, "b", "main")
	})
}

// A fallback that is taken into use makes another spool: an attempt can't land
// there unannounced, and one that did is not missed when the fallback is lost.
func TestIDOfAFallback(t *testing.T) {
	disk := &sick{root: filepath.Join(t.TempDir(), "disk")}
	fallback := filepath.Join(t.TempDir(), "fallback")
	dir := filepath.Join(disk.root, "spool")
	openBoth := func() *Spool {
		s, err := openOn(t.Context(), disk, 1, dir, fallback)
		must(t, err)
		return s
	}
	s := openBoth()
	id := s.ID()
	disk.fault = syscall.ENOSPC
	h := Header{Attempt: "a", Account: "main"}
	for _, slot := range s.places[0].free {
		_ = slot.file.Close() // it takes nothing more
	}
	if _, _, err := s.BeginIn(id, h); !errors.Is(err, ErrAnotherSpool) {
		t.Fatalf("an attempt that only the fallback takes: %v", err)
	}
	both := s.ID()
	if both == id || both == "" {
		t.Fatalf("with its fallback it is called %q, without %q", both, id)
	}
	_, _, err := s.BeginIn(both, h)
	must(t, err)
	must(t, s.Close())

	disk.fault = nil
	s = openBoth()
	if s.ID() != both || len(s.Unsettled()) != 1 {
		t.Errorf("the next process calls it %q and finds %+v", s.ID(), s.Unsettled())
	}
	must(t, s.Close())
	must(t, os.RemoveAll(fallback))
	s = openBoth()
	if s.ID() == both {
		t.Error("without its fallback it is called the same")
	}
	must(t, s.Close())
}

// The answer of an attempt that the fallback took does not hide, when the
// fallback is lost, that the attempt was made.
func TestLostFallbackLeavesTheNoteOfTheAttempt(t *testing.T) {
	disk := &sick{root: filepath.Join(t.TempDir(), "disk")}
	fallback := filepath.Join(t.TempDir(), "fallback")
	dir := filepath.Join(disk.root, "spool")
	s, err := openOn(t.Context(), disk, 1, dir, fallback)
	must(t, err)
	slot := begin(t, s, "a", "main")
	must(t, slot.Advance(Sent))
	disk.fault = syscall.ENOSPC
	record(t, slot, "the answer")
	disk.fault = nil
	must(t, s.Close())
	lost := image(t, dir)
	if got := open(t, lost, 1).Unsettled(); len(got) != 1 || got[0].Progress != Sent {
		t.Errorf("without the fallback it lists %+v", got)
	}
	s, err = openOn(t.Context(), disk, 1, dir, fallback)
	must(t, err)
	wantAnswer(t, s, "a", "main", "the answer")
	must(t, s.Settle("a", false))
	must(t, s.Close())
	if got := open(t, image(t, dir), 1).Unsettled(); len(got) != 0 {
		t.Errorf("after it was settled, it lists %+v", got)
	}
}

// vanishing is a file system in which a file is removed as soon as its folder was
// listed.
type vanishing struct {
	files.OS
	path string
}

func (d vanishing) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := d.OS.ReadDir(name)
	if name == filepath.Dir(d.path) {
		_ = os.Remove(d.path)
	}
	return entries, err
}

// Whoever empties the spool of a process that has sent a request, and then dies, has
// removed what tells of it: the next process does not call it the same spool.
func TestAllSlotsRemovedWhileARequestIsSent(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	s, err := Open(t.Context(), dir, 2)
	must(t, err)
	slot := begin(t, s, "a", "main")
	must(t, slot.Advance(Sent))
	id := s.ID()
	slots, err := filepath.Glob(filepath.Join(dir, slotPrefix+"*"))
	must(t, err)
	for _, path := range slots {
		must(t, os.Remove(path))
	}
	must(t, s.Close())
	s, err = Open(t.Context(), dir, 2)
	must(t, err)
	defer func() { must(t, s.Close()) }()
	if now := s.ID(); now == id || now == "" {
		t.Errorf("the spool is called %q, and was %q", now, id)
	}
}

// full is a disk on which no spool gets another name.
type full struct{ files.OS }

func (d full) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if filepath.Base(name) == idName+".new" {
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	return d.OS.OpenFile(name, flag, perm)
}

// Where a damaged slot was put aside on a full disk, the spool has not its old name once
// there is room again.
func TestDamagedSlotOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, 1)
	slot, id := begin(t, s, "a", "main"), s.ID()
	must(t, s.Close())
	must(t, os.WriteFile(slot.path, []byte("TKH1"), 0o600))
	s, err := openOn(t.Context(), full{}, 1, dir)
	must(t, err)
	if now := s.ID(); now != "" {
		t.Errorf("the spool is called %q, which nobody can have written", now)
	}
	s = reopened(t, s, dir)
	if now := s.ID(); now == id || now == "" {
		t.Errorf("the spool is called %q, and was %q", now, id)
	}
}

// A slot that is gone while the spool is opened, or damaged, hides no other one, and what
// it held is not taken for what was never begun.
func TestSlotFileGoneWhileTheSpoolIsOpened(t *testing.T) {
	for name, open := range map[string]func(dir, path string) (*Spool, error){
		"removed": func(dir, path string) (*Spool, error) {
			return openOn(t.Context(), vanishing{path: path}, 1, dir)
		},
		"a link that leads nowhere": func(dir, path string) (*Spool, error) {
			must(t, os.Remove(path))
			must(t, os.Symlink("nowhere", path))
			return Open(t.Context(), dir, 1)
		},
		"damaged": func(dir, path string) (*Spool, error) {
			b, err := os.ReadFile(path)
			must(t, err)
			b[frameHead+1] ^= 1
			must(t, os.WriteFile(path, b, 0o600))
			return Open(t.Context(), dir, 1)
		},
		"damaged in the fallback": func(dir, path string) (*Spool, error) {
			must(t, os.WriteFile(path, []byte("TKH1"), 0o600))
			return OpenWithFallback(t.Context(), filepath.Join(filepath.Dir(dir), "first"), dir, 1)
		},
		"removed in the fallback": func(dir, path string) (*Spool, error) {
			return openOn(t.Context(), vanishing{path: path}, 1, filepath.Join(filepath.Dir(dir), "first"), dir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			s, err := Open(t.Context(), dir, 2)
			must(t, err)
			first, second := begin(t, s, "a", "main"), begin(t, s, "b", "another")
			if first.path > second.path {
				first, second = second, first
			}
			record(t, second, "the answer")
			id := s.ID()
			must(t, s.Close())
			s, err = open(dir, first.path)
			must(t, err)
			defer func() { must(t, s.Close()) }()
			wantAnswer(t, s, second.header.Attempt, second.header.Account, "the answer")
			if now := s.ID(); now == id || now == "" {
				t.Errorf("the spool is called %q, and was %q", now, id)
			}
			if _, known, err := s.Begin(first.header.Header); known || err != nil {
				t.Errorf("the attempt that is gone: known %t, %v", known, err)
			}
		})
	}
}
