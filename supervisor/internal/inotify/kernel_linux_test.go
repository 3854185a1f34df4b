package inotify

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNextSaysWhatHappened(t *testing.T) {
	dir := t.TempDir()
	k, err := open()
	if err != nil {
		t.Fatal(err)
	}
	watch, err := k.add(dir, unix.IN_CREATE)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "a longer name"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	got, err := k.next()
	if err != nil || len(got) != 2 || got[0].name != "a" || got[1].name != "a longer name" || got[0].watch != watch {
		t.Errorf("got %v, %v", got, err)
	}
	if err := k.close(); err != nil {
		t.Fatal(err)
	}
	if got, err := k.next(); err == nil {
		t.Errorf("after the end there is %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(make([]byte, unix.SizeofInotifyEvent))
	f.Add(append(make([]byte, 12), 0xff, 0xff, 0xff, 0xff, 'n'))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parse(b)); n > len(b)/unix.SizeofInotifyEvent {
			t.Errorf("%d events in %d bytes", n, len(b))
		}
	})
}
