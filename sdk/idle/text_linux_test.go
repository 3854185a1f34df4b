package idle

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const sampleMaps = `00400000-00d53000 r-xp 00000000 fe:00 123                                /usr/bin/tokenkeeper
Size:               9548 kB
Rss:                4096 kB
Anonymous:             0 kB
FilePmdMapped:         0 kB
VmFlags: rd ex mr mw me
00d53000-014be000 r--p 00953000 fe:00 123                                /usr/bin/a program
Rss:                1024 kB
Anonymous:             4 kB
014be000-0153a000 rw-p 010be000 fe:00 123                                /usr/bin/tokenkeeper
Anonymous:             0 kB
0153a000-0357f000 r--p 00000000 00:00 0
Anonymous:             0 kB
7f0000000000-7f0000001000 r--s 00000000 fe:00 9                          /data
Anonymous:             0 kB
nonsense
zz-yy r-xp 0 fe:00 9 /data
Anonymous:             0 kB
`

func TestUnchanged(t *testing.T) {
	want := []mapping{{0x400000, 0x953000, "fe:00 123"}, {0x7f0000000000, 0x1000, "fe:00 9"}}
	if got := unchanged(sampleMaps); !slices.Equal(got, want) {
		t.Errorf("%x, want %x: what is written to, was copied or is no file must stay", got, want)
	}
}

func FuzzUnchanged(f *testing.F) {
	f.Add(sampleMaps)
	f.Add("1-2 - 0 0 1\nAnonymous: 0")
	f.Fuzz(func(t *testing.T, smaps string) {
		for _, m := range unchanged(smaps) {
			if m.length == 0 || m.start+m.length < m.start {
				t.Errorf("%x", m)
			}
		}
	})
}

// page is a file that this process has mapped, and that only the test looks at: of the
// program itself, a glance may bring all of it back.
type page struct {
	t *testing.T
	mapping
	data []byte
}

func newPage(t *testing.T) page {
	t.Helper()
	path := filepath.Join(t.TempDir(), "page")
	if err := os.WriteFile(path, make([]byte, os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(data) })
	return page{t, mapping{start: uintptr(unsafe.Pointer(&data[0])), length: uintptr(len(data))}, data}
}

// bring has it in the process's page tables.
func (p page) bring() {
	p.t.Helper()
	if p.data[0] != 0 || !p.isThere() {
		p.t.Fatal("the page did not come")
	}
}

func (p page) isThere() bool {
	p.t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		p.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(maps), fmt.Sprintf("%08x-", p.start))
	_, rest, found := strings.Cut(rest, "Rss:")
	if !found {
		p.t.Fatal("the page is not among the process's mappings")
	}
	return strings.Fields(rest)[0] != "0"
}

func TestDrop(t *testing.T) {
	files, p := mapped(), newPage(t)
	if own := program(files); len(own) == 0 || len(own) > len(files) {
		t.Errorf("of %x the program is %x", files, own)
	}
	found := slices.ContainsFunc(mapped(), func(m mapping) bool { return m.start == p.start && m.length == p.length })
	if p.bring(); !found {
		t.Error("a mapped file is none of those that may be dropped")
	}
	if drop([]mapping{p.mapping}); p.isThere() {
		t.Error("it stays")
	}
}

// TestTouched: what a little work at rest brings back goes again, with what those bring
// back who were woken up by it and come later, and a busy process keeps it.
func TestTouched(t *testing.T) {
	untuned(t)
	synctest.Test(t, func(t *testing.T) {
		r, p := New(time.Hour), newPage(t)
		defer r.Close()
		r.tuned = true // the runtime calls from outside of the bubble when it has collected
		if r.rest(); len(r.program) == 0 {
			t.Fatal("nobody knows where the program is")
		}
		r.program = append(r.program, p.mapping)
		r.Touched()
		time.Sleep(lull / 2)
		p.bring()
		time.Sleep(lull)
		synctest.Wait()
		if p.isThere() {
			t.Error("it stays at rest")
		}
		p.bring()
		r.Touched()
		r.Busy()
		time.Sleep(2 * lull)
		synctest.Wait()
		if !p.isThere() {
			t.Error("a busy process has lost it")
		}
	})
}
