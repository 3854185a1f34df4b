package inotify

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// instances is how many of the user's this process has.
func instances(t *testing.T) (n int) {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range all {
		if what, _ := os.Readlink(fd); what == "anon_inode:inotify" {
			n++
		}
	}
	return n
}

// Who follows paths with one instance takes one for all. Each is told of what he has
// asked for alone, also in one folder, and of nothing less once another has gone.
func TestFollowersHaveOneInstance(t *testing.T) {
	before := instances(t)
	var one Instance
	dir := t.TempDir()
	written := follow(t, &one, dir, unix.IN_CLOSE_WRITE)
	made := follow(t, &one, dir, unix.IN_CREATE)
	other := follow(t, &one, dir, unix.IN_CLOSE_WRITE)
	for _, r := range []*followRig{written, made, other} {
		r.must(r.Add(r.at("a"), "a"))
		r.must(r.Add(r.at("b"), "b"))
	}
	for range 200 {
		r := follow(t, &one, dir, unix.IN_CLOSE_WRITE)
		r.must(r.Add(r.at("c"), "c"))
	}
	if n := instances(t); n > before+1 {
		t.Errorf("%d instances for all", n-before)
	}
	write := func(name string) { written.must(os.WriteFile(written.at(name), []byte("x"), 0o600)) }
	write("a")
	for _, r := range []*followRig{written, made, other} {
		r.tells("a", "it was made and written")
	}
	written.must(other.Close())
	write("a") // which makes nothing
	write("b")
	written.tells("b", "a write")
	made.tells("b", "it was made")
	for _, r := range []*followRig{written, made} {
		for len(r.told) > 0 {
			if tag := <-r.told; r == made {
				t.Errorf("told of %q, which was made before", tag)
			}
		}
	}
	if len(other.told) > 0 {
		t.Errorf("told of %q after its end", <-other.told)
	}
}

// The last who goes gives the instance back, and the next takes one anew.
func TestTheLastGivesTheInstanceBack(t *testing.T) {
	before := instances(t)
	var one Instance
	dir := t.TempDir()
	for range 2 {
		first, last := follow(t, &one, dir, unix.IN_CLOSE_WRITE), follow(t, &one, dir, unix.IN_CLOSE_WRITE)
		first.must(first.Close())
		last.must(last.Add(last.at("a"), "a"))
		last.must(os.WriteFile(last.at("a"), []byte("x"), 0o600))
		last.tells("a", "a write")
		last.must(last.Close())
		last.must(last.Close())
		waittest.Until(t, "the instance is given back", func() bool { return instances(t) <= before })
	}
}

// A folder that goes away, and another in its place, is told to everybody who follows
// something there.
func TestAFolderThatGoesIsToldToAll(t *testing.T) {
	var one Instance
	dir := t.TempDir()
	all := []*followRig{follow(t, &one, dir, unix.IN_CLOSE_WRITE), follow(t, &one, dir, unix.IN_CLOSE_WRITE)}
	must := all[0].must
	must(os.Mkdir(filepath.Join(dir, "in"), 0o700))
	for _, r := range all {
		must(r.Add(r.at("in/a"), "a"))
	}
	for range 3 {
		must(os.RemoveAll(filepath.Join(dir, "in")))
		for _, r := range all {
			r.tells("a", "its folder has gone")
		}
		must(os.Mkdir(filepath.Join(dir, "in"), 0o700))
		for _, r := range all {
			r.tells("a", "its folder has come back")
		}
		// What is made while the folder is only just being watched is told as the folder's.
		for _, r := range all {
			waittest.Until(t, "a word on a write", func() bool {
				must(os.WriteFile(r.at("in/a"), []byte("x"), 0o600))
				return len(r.told) > 0
			})
			for len(r.told) > 0 {
				<-r.told
			}
		}
	}
}
