package idle

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
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

// resident is how many KiB of the mappings this very process has in its page tables.
func resident(t *testing.T, files []mapping) (sum int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	for _, m := range files {
		_, rest, _ := strings.Cut(string(maps), fmt.Sprintf("%08x-", m.start))
		_, rest, _ = strings.Cut(rest, "Rss:")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// bring has every page of the program mapped.
func bring(own []mapping) (sum byte) {
	for _, m := range own {
		for at := uintptr(0); at < m.length; at += 4096 {
			sum += *(*byte)(unsafe.Add(unsafe.Pointer(nil), m.start+at))
		}
	}
	return sum
}

func TestDrop(t *testing.T) {
	files := mapped()
	own := program(files)
	if len(own) == 0 || len(own) > len(files) {
		t.Fatalf("of %x the program is %x", files, own)
	}
	bring(own)
	before := resident(t, own)
	drop(own)
	if after := resident(t, own); after > before*9/10 {
		t.Errorf("%d KiB of the program are mapped, %d were before", after, before)
	}
}

// TestTouched: what a little work at rest brings back goes again, and a busy process
// keeps it.
func TestTouched(t *testing.T) {
	untuned(t)
	r := New(time.Hour)
	defer r.Close()
	own := program(mapped())
	r.rest()
	bring(own)
	all := resident(t, own)
	r.Touched()
	if left := resident(t, own); left >= all {
		t.Errorf("%d of %d KiB are mapped at rest", left, all)
	}
	r.Busy()
	bring(own)
	r.Touched()
	if left := resident(t, own); left < all {
		t.Errorf("%d of %d KiB are mapped in a busy process", left, all)
	}
}
