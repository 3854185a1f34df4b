package inotify

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// followRig follows paths of a directory of its own.
type followRig struct {
	*Follower
	t    *testing.T
	dir  string
	told chan string
}

func startFollowing(t *testing.T) *followRig {
	return follow(t, new(Instance), t.TempDir(), unix.IN_CLOSE_WRITE|unix.IN_DELETE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO)
}

func follow(t *testing.T, with *Instance, dir string, mask uint32) *followRig {
	t.Helper()
	r := &followRig{t: t, dir: dir, told: make(chan string, 1000)}
	var err error
	if r.Follower, err = with.Follow(mask, func(tag string) { r.told <- tag }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func (r *followRig) at(name string) string { return filepath.Join(r.dir, name) }

func (r *followRig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// tells waits until it is told of the tag.
func (r *followRig) tells(tag, after string) {
	r.t.Helper()
	for late := waittest.Late(r.t); ; {
		select {
		case got := <-r.told:
			if got == tag {
				return
			}
		case <-late:
			r.t.Fatalf("nothing was told of %q after %s", tag, after)
		}
	}
}

func TestFollowerTellsOfEachPath(t *testing.T) {
	r := startFollowing(t)
	r.must(errors.Join(os.Mkdir(r.at("here"), 0o700), os.Symlink("here", r.at("also"))))
	for _, name := range []string{"here/a", "also/b", "missing/far/c", "gone"} {
		r.must(r.Add(r.at(name), name))
		r.must(r.Add(r.at(name), name))
	}
	write := func(name string) { r.must(os.WriteFile(r.at(name), []byte("x"), 0o600)) }
	write("here/a")
	r.tells("here/a", "a write")
	write("here/b")
	r.tells("also/b", "a write by another name of its folder")
	r.must(os.Remove(r.at("here/a")))
	r.tells("here/a", "its removal")
	// Its folders come one after the other.
	r.must(os.Mkdir(r.at("missing"), 0o700))
	r.tells("missing/far/c", "the first folder")
	r.must(os.Mkdir(r.at("missing/far"), 0o700))
	r.tells("missing/far/c", "the second folder")
	write("missing/far/c")
	r.tells("missing/far/c", "a write in it")
	r.must(os.RemoveAll(r.at("missing")))
	r.tells("missing/far/c", "the removal of all")
	r.must(os.Rename(r.at("here"), r.at("away")))
	r.tells("here/a", "its folder was moved")
	r.must(os.Mkdir(r.at("here"), 0o700))
	r.tells("here/a", "a new folder")
	r.must(os.Rename(r.at("away"), r.at("elsewhere")))
	write("here/a")
	r.tells("here/a", "a write in the new folder")
}

// Whatever is made and removed, in the end it is told of each path that is written
// to: nothing that was missing once is lost.
func TestFollowerLosesNoPath(t *testing.T) {
	r := startFollowing(t)
	path := func(i int) string { return fmt.Sprintf("d%d/e/f%d", i%3, i) }
	for i := range 9 {
		r.must(r.Add(r.at(path(i)), path(i)))
	}
	for range 20 {
		for i := range 9 {
			r.must(os.MkdirAll(filepath.Dir(r.at(path(i))), 0o700))
		}
		for i := range 3 {
			r.must(os.RemoveAll(r.at(fmt.Sprint("d", i))))
		}
	}
	for i := range 9 {
		r.must(os.MkdirAll(filepath.Dir(r.at(path(i))), 0o700))
	}
	for i := range 9 {
		// What is made while the folder is only just being watched is told as the
		// folder's: so written until it is told.
		waittest.Until(t, "a word on "+path(i), func() bool {
			r.must(os.WriteFile(r.at(path(i)), []byte("x"), 0o600))
			for {
				select {
				case got := <-r.told:
					if got == path(i) {
						return true
					}
				default:
					return false
				}
			}
		})
	}
}

// A directory that does not answer, at which somebody looks, holds up nobody's end.
func TestCloseWaitsForNoDirectory(t *testing.T) {
	r := startFollowing(t)
	r.must(r.Add(r.at("a"), "a"))
	r.mu.Lock() // as who looks has it
	closed := make(chan error, 1)
	go func() { closed <- r.Close() }()
	select {
	case err := <-closed:
		if err == nil {
			t.Error("it is closed, and somebody looks")
		}
	case <-waittest.Late(t):
		t.Error("it waits for who looks")
	}
	r.mu.Unlock()
	waittest.Until(t, "the directory has answered", func() bool {
		r.instance.mu.Lock()
		defer r.instance.mu.Unlock()
		return r.instance.kernel == nil
	})
}

// The kernel says nothing when a link on the way leads elsewhere, or when a
// directory further up is moved. Who follows the path once more follows what is
// there then.
func TestFollowerFollowsOnceMoreWhatIsThereNow(t *testing.T) {
	r := startFollowing(t)
	r.must(errors.Join(os.MkdirAll(r.at("one/in"), 0o700), os.MkdirAll(r.at("two/in"), 0o700), os.Symlink("one", r.at("link"))))
	paths := map[string]string{"link": "link/in/f", "folder": "one/in/f"}
	for tag, path := range paths {
		r.must(r.Add(r.at(path), tag))
	}
	r.must(errors.Join(os.Remove(r.at("link")), os.Rename(r.at("one"), r.at("old")),
		os.Symlink("two", r.at("link")), os.MkdirAll(r.at("one/in"), 0o700)))
	for tag, path := range paths {
		r.must(r.Add(r.at(path), tag))
		r.must(os.WriteFile(r.at(path), []byte("x"), 0o600))
		r.tells(tag, "a write in the directory that is there now")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.places) != 2 || len(r.byDir) != 2 {
		t.Errorf("%d watches of %d directories, want 2", len(r.places), len(r.byDir))
	}
}

// A missing folder of very many files costs for each of them the same, however many
// there are.
func TestFollowerOfManyPathsInAMissingFolder(t *testing.T) {
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	var i Instance
	i.begin(k) // and nobody reads what happens
	f, err := i.Follow(unix.IN_CLOSE_WRITE, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir, n := t.TempDir(), 3000
	for i := range n {
		if err := f.Add(filepath.Join(dir, "missing", fmt.Sprint(i)), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "missing"), 0o700); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tags := f.happened(event{mask: unix.IN_CREATE, name: "missing", watch: f.byDir[dir].watch})
	runtime.ReadMemStats(&after)
	if each := (after.TotalAlloc - before.TotalAlloc) / uint64(n); len(tags) != n || each > 5000 {
		t.Errorf("%d told, with %d bytes for each", len(tags), each)
	}
}

func TestFollowerSaysWhatItCantWatch(t *testing.T) {
	r := startFollowing(t)
	r.must(r.Close())
	if err := r.Add(r.at("a"), "a"); err == nil {
		t.Error("a closed one follows")
	}
}
