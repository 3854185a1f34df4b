package idle

import (
	"os"
	"slices"
	"strings"
	"testing"
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
	want := []mapping{{0x400000, 0x953000}, {0x7f0000000000, 0x1000}}
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

// TestDropText looks at this very process.
func TestDropText(t *testing.T) {
	text := func() (resident string) {
		maps, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			t.Skip(err)
		}
		program, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		_, rest, found := strings.Cut(string(maps), program+"\n")
		_, rest, _ = strings.Cut(rest, "Rss:")
		if !found {
			t.Skip("the program is not among its own mappings")
		}
		return strings.Fields(rest)[0]
	}
	before := text()
	dropText()
	if after := text(); len(after) > len(before) || len(after) == len(before) && after >= before {
		t.Errorf("%s KiB of the program's text are mapped, %s were before", after, before)
	}
}
