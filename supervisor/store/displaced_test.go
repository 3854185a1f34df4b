package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// meddling is what somebody else does to a state directory.
type meddling struct {
	name string
	// do may use the path old, which is free.
	do func(t failer, dir, old string)
	// keeps is whether something was in the place of the state file then.
	keeps bool
}

// failer is a [testing.TB], or what rapid has in its place.
type failer interface {
	Helper()
	Fatal(args ...any)
}

func ok(t failer, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// read returns what is in a file.
func read(t failer, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	ok(t, err)
	return b
}

// over writes b into the file, as cp(1) and a shell do: it stays the same one.
func over(t failer, path string, b []byte) {
	t.Helper()
	ok(t, os.WriteFile(path, b, 0o600))
}

// instead puts another file with b in it in the place of the file.
func instead(t failer, path string, b []byte) {
	t.Helper()
	ok(t, os.WriteFile(path+".put", b, 0o600), os.Rename(path+".put", path))
}

func file(dir string) string { return filepath.Join(dir, store.FileName) }

// earlier is a state file as it was earlier: the first backup.
func earlier(t failer, dir string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "backup", "*.db"))
	ok(t, err)
	if len(paths) == 0 {
		return []byte("there was no backup")
	}
	return read(t, paths[0])
}

var meddlings = []meddling{
	{"the file is removed", func(t failer, dir, _ string) { ok(t, os.Remove(file(dir))) }, false},
	{"the file is renamed", func(t failer, dir, old string) { ok(t, os.Rename(file(dir), old)) }, false},
	{"an older file takes its place", func(t failer, dir, _ string) { instead(t, file(dir), earlier(t, dir)) }, true},
	{"its own copy takes its place", func(t failer, dir, _ string) { instead(t, file(dir), read(t, file(dir))) }, true},
	{"an empty file takes its place", func(t failer, dir, _ string) { instead(t, file(dir), nil) }, true},
	{"a foreign file takes its place", func(t failer, dir, _ string) { instead(t, file(dir), []byte("precious")) }, true},
	{"an older file is written over it", func(t failer, dir, _ string) { over(t, file(dir), earlier(t, dir)) }, true},
	{"it is emptied", func(t failer, dir, _ string) { over(t, file(dir), nil) }, true},
	{"a foreign file is written over it", func(t failer, dir, _ string) { over(t, file(dir), []byte("precious")) }, true},
	{"something is written into it", func(t failer, dir, _ string) {
		b := read(t, file(dir))
		clear(b[3*os.Getpagesize():]) // behind the meta pages
		over(t, file(dir), b)
	}, true},
	{"a directory takes its place", func(t failer, dir, old string) {
		ok(t, os.Rename(file(dir), old), os.Mkdir(file(dir), 0o755))
	}, true},
	{"a pipe takes its place", func(t failer, dir, _ string) {
		ok(t, os.Remove(file(dir)), unix.Mkfifo(file(dir), 0o600))
	}, true},
	{"the directory is removed", func(t failer, dir, _ string) { ok(t, os.RemoveAll(dir)) }, false},
	{"the directory is emptied", func(t failer, dir, _ string) {
		entries, err := os.ReadDir(dir)
		ok(t, err)
		for _, e := range entries {
			ok(t, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}, false},
	{"the directory is renamed", func(t failer, dir, old string) { ok(t, os.Rename(dir, old)) }, false},
	{"its own copy takes the directory's place", func(t failer, dir, old string) {
		ok(t, os.Mkdir(old, 0o700))
		over(t, file(old), read(t, file(dir)))
		ok(t, os.RemoveAll(dir), os.Rename(old, dir))
	}, true},
	{"the directory is replaced by one with an older file", func(t failer, dir, old string) {
		b := earlier(t, dir)
		ok(t, os.Rename(dir, old), os.Mkdir(dir, 0o700))
		over(t, file(dir), b)
	}, true},
	{"the directory is replaced by an empty one that is open to others", func(t failer, dir, old string) {
		ok(t, os.Rename(dir, old), os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777))
	}, false},
	{"the directory is moved away and linked to", func(t failer, dir, old string) {
		ok(t, os.RemoveAll(dir), os.Mkdir(old, 0o700), os.Symlink(old, dir))
	}, false},
	{"all files are moved into another directory, which takes its place", func(t failer, dir, old string) {
		ok(t, os.Mkdir(old, 0o700), os.Rename(file(dir), file(old)), os.RemoveAll(dir), os.Rename(old, dir))
	}, true},
}

// Whatever somebody does to the file or the directory while the store runs, and
// whoever notices it first: everything is there at the next start, what was
// found is kept, it is told once, and nobody else can start meanwhile.
func TestDisplaced(t *testing.T) {
	t.Parallel()
	notices := map[string]func(testing.TB, *store.Journal) *store.Journal{
		"commit": func(t testing.TB, s *store.Journal) *store.Journal { commit(t, s, "main", 4, 4); return s },
		"look":   func(_ testing.TB, s *store.Journal) *store.Journal { s.Look(); return s },
		"backup": func(t testing.TB, s *store.Journal) *store.Journal { must(t, s.Backup(t.Context())); return s },
		"close":  func(t testing.TB, s *store.Journal) *store.Journal { must(t, s.Close()); return nil },
	}
	for _, m := range meddlings {
		for notice, by := range notices {
			t.Run(m.name+"/"+notice, func(t *testing.T) {
				dir, told := stateDir(t), &troubles{}
				s, err := store.Open(dir, store.Options{Trouble: told.add})
				must(t, err)
				commit(t, s, "main", 1, 1)
				commit(t, s, "other", 1, 1)
				must(t, s.Backup(t.Context()))
				commit(t, s, "main", 2, 3)

				old := dir + "-old"
				m.do(t, dir, old)
				want := map[string]uint64{"commit": 4}[notice]
				if want == 0 {
					want = 3
				}
				if s = by(t, s); s != nil {
					for range 3 {
						s.Look()
					}
					for _, d := range []string{dir, old} {
						if info, err := os.Stat(d); err != nil || !info.IsDir() {
							continue
						}
						if _, err := store.Open(d, store.Options{Timeout: 1}); !errors.Is(err, store.ErrInUse) {
							t.Errorf("a second supervisor starts in %s: %v", d, err)
						}
					}
					must(t, s.Backup(t.Context()))
					s.Die()
				}
				if got := told.String(); got != "displaced" {
					t.Errorf("told %q: %+v", got, told.list)
				}
				if kept := glob(t, file(dir)+".found-*"); len(kept) > 1 || (len(kept) == 1) != m.keeps {
					t.Errorf("kept %v", kept)
				} else if len(kept) == 1 && !strings.Contains(told.list[0].What, kept[0]) {
					t.Errorf("told %q, and %s is kept", told.list[0].What, kept[0])
				}
				for path, mode := range map[string]os.FileMode{dir: 0o700, file(dir): 0o600} {
					if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
						t.Errorf("%s: %v, %v", path, info.Mode(), err)
					}
				}
				s = openStore(t, dir)
				wantVersion(t, s, "main", want)
				wantVersion(t, s, "other", 1)
				if s.Restored() != nil {
					t.Errorf("restored: %+v", s.Restored())
				}
			})
		}
	}
}

// What was found in the state file's place is kept as it was.
func TestFoundIsKept(t *testing.T) {
	for _, put := range []func(failer, string, []byte){over, instead} {
		dir := stateDir(t)
		s := openStore(t, dir)
		for n, what := range []string{"precious", "more", ""} {
			commit(t, s, "main", uint64(n+1), uint64(n+1))
			put(t, s.Path(), []byte(what))
			s.Look()
		}
		var kept []string
		for _, path := range glob(t, s.Path()+".found-*") {
			kept = append(kept, string(read(t, path)))
		}
		if !slices.Equal(kept, []string{"precious", "more", ""}) {
			t.Errorf("kept %q", kept)
		}
	}
}

// What was found is somebody else's: a store that is restored later takes
// nothing from it.
func TestFoundIsNotRestored(t *testing.T) {
	foreign := stateDir(t)
	s := openStore(t, foreign)
	commit(t, s, "main", 1, 9)
	commit(t, s, "stranger", 1, 1)
	must(t, s.Close())

	dir := stateDir(t)
	s = openStore(t, dir)
	commit(t, s, "main", 1, 3)
	instead(t, file(dir), read(t, file(foreign)))
	s.Look()
	must(t, errors.Join(s.Backup(t.Context()), s.Close(), os.Remove(file(dir))))
	s = openStore(t, dir)
	wantVersion(t, s, "main", 3)
	if _, err := s.Load(t.Context(), "stranger"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a stranger's account: %v", err)
	}
}

// Programs that touch, link, copy, read or back up the file do no harm, and
// nothing is told or written anew.
func TestHarmlessNeighbours(t *testing.T) {
	dir, told := stateDir(t), &troubles{}
	s, err := store.Open(dir, store.Options{Trouble: told.add})
	must(t, err)
	defer func() { _ = s.Close() }()
	commit(t, s, "main", 1, 1)
	before := inode(t, s.Path())
	version := uint64(1)
	for _, harmless := range []func(){
		func() { must(t, os.Chtimes(s.Path(), time.Unix(1, 0), time.Unix(1, 0))) },
		func() { must(t, os.Link(s.Path(), filepath.Join(dir, "link"))) },
		func() { must(t, os.Chmod(s.Path(), 0o400)) },
		func() { must(t, os.WriteFile(filepath.Join(dir, "copy"), read(t, s.Path()), 0o600)) },
		func() { must(t, os.Rename(s.Path(), dir+"-aside")); must(t, os.Rename(dir+"-aside", s.Path())) },
		func() { must(t, os.Rename(dir, dir+"-aside")); must(t, os.Rename(dir+"-aside", dir)) },
		func() { must(t, os.RemoveAll(filepath.Join(dir, "backup"))) },
	} {
		harmless()
		s.Look()
		version++
		commit(t, s, "main", version, version)
	}
	if told.String() != "" || inode(t, s.Path()) != before {
		t.Errorf("told %q: %+v", told, told.list)
	}
	must(t, s.Backup(t.Context())) // into a folder that was removed
	if got := glob(t, filepath.Join(dir, "backup", "*")); len(got) != 1 {
		t.Errorf("backups: %v", got)
	}
}

// A directory that was moved away stays locked, and is locked all the same when
// it comes back.
func TestDirectoryComesBack(t *testing.T) {
	dir := stateDir(t)
	s := openStore(t, dir)
	commit(t, s, "main", 1, 1)
	for n := range uint64(20) {
		rename(t, dir, dir+"-away")
		commit(t, s, "main", 2*n+2, 2*n+2)
		must(t, os.RemoveAll(dir))
		rename(t, dir+"-away", dir)
		commit(t, s, "main", 2*n+3, 2*n+3)
	}
	if _, err := store.Open(dir, store.Options{Timeout: 1}); !errors.Is(err, store.ErrInUse) {
		t.Errorf("a second supervisor starts: %v", err)
	}
	must(t, s.Close())
	s = openStore(t, dir)
	wantVersion(t, s, "main", 41)
}

// Where the directory can't be made again, everything is kept in memory and
// told, and is written as soon as that can be done, at the latest at the end.
func TestDisplacedForGood(t *testing.T) {
	for name, end := range map[string]func(*store.Journal) error{
		"look":  func(s *store.Journal) error { s.Look(); s.Die(); return nil },
		"close": (*store.Journal).Close,
	} {
		t.Run(name, func(t *testing.T) {
			dir, told := filepath.Join(t.TempDir(), "disk", "state"), &troubles{}
			s, err := store.Open(dir, store.Options{Trouble: told.add})
			must(t, err)
			commit(t, s, "main", 1, 3)
			must(t, os.RemoveAll(filepath.Dir(dir)))
			s.Look()
			s.Look()
			wantVersion(t, s, "main", 3)
			if err := s.Commit(t.Context(), next("main", 4)); !errors.Is(err, store.ErrDisk) {
				t.Errorf("committed: %v", err)
			}
			if _, err := os.Stat(filepath.Dir(dir)); err == nil {
				t.Error("the directory above was made: a disk that comes back would hide it")
			}
			if got := told.String(); got != "fault displaced" || s.Fault() == nil {
				t.Errorf("told %q: %+v", got, told.list)
			}
			must(t, os.Mkdir(filepath.Dir(dir), 0o755))
			must(t, end(s))
			if got := told.String(); got != "fault displaced recovered" {
				t.Errorf("told %q: %+v", got, told.list)
			}
			s = openStore(t, dir)
			wantVersion(t, s, "main", 3)
		})
	}
}
