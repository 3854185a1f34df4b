package file_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// looking counts how often a whole directory is read.
type looking struct {
	files.OS
	looks int
}

func (l *looking) ReadDir(name string) ([]fs.DirEntry, error) {
	l.looks++
	return l.OS.ReadDir(name)
}

// The files of all accounts are in one directory, which must not be read for
// each of them.
func TestDirectoryIsNotReadForEachAccount(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	for _, name := range []string{
		".token-b.12345678901234567890.tmp", ".token-a.17.tmp", // ours
		".token-b.17.tmp", ".token-B C.12345678901234567890.tmp", ".other.12345678901234567890.tmp",
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
	}
	s := newSink(t, file.Config{Path: filepath.Join(dir, "token-{account}")})
	disk := &looking{}
	s.On(disk)
	for _, account := range []string{"a", "b", "c", "d"} {
		if err := s.Deliver(t.Context(), sinktest.Bare(account, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if disk.looks != 1 {
		t.Errorf("4 deliveries read the directory %d times", disk.looks)
	}
	want := "[.other.12345678901234567890.tmp .token-B C.12345678901234567890.tmp .token-b.17.tmp token-a token-b token-c token-d]"
	if got := fmt.Sprint(names(t, dir)); got != want {
		t.Errorf("there is %s, want %s", got, want)
	}
}
