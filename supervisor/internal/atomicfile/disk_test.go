package atomicfile_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// Whatever fails and whenever the power goes, a reader sees the old content or
// the new, with the mode that it shall have; what Replace called durable stays,
// and what it called failed is not seen.
func TestEveryFault(t *testing.T) {
	// Longer than a sector and a page, so that parts of it could survive.
	was, will := strings.Repeat("old", 2000), strings.Repeat("new", 3000)
	for name, tt := range map[string]struct {
		exists bool
		want   atomicfile.Attributes
		mode   fs.FileMode
	}{
		"replaced":           {exists: true, want: atomicfile.AsTheyAre(), mode: 0o640},
		"new":                {want: atomicfile.AsTheyAre(), mode: 0o600},
		"with another owner": {exists: true, want: atomicfile.Attributes{Mode: 0o644, UID: 65534, GID: atomicfile.Unchanged}, mode: 0o644},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.want.UID != atomicfile.Unchanged && os.Getuid() != 0 {
				t.Skip("only root may give files away")
			}
			prepare := func(dir string) {
				// A killed supervisor's, which is swept away on the way.
				left := filepath.Join(dir, ".token.123.tmp")
				long := time.Now().Add(-time.Hour)
				err := errors.Join(os.WriteFile(left, []byte("left"), 0o600), os.Chtimes(left, long, long))
				if tt.exists {
					err = errors.Join(err, os.WriteFile(filepath.Join(dir, "token"), []byte(was), 0o600),
						os.Chmod(filepath.Join(dir, "token"), 0o640))
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			ended := 0
			n := filestest.Everything(t, prepare, func(d *filestest.Disk, dir string) error {
				err := atomicfile.Replace(context.Background(), d, filepath.Join(dir, "token"), []byte(will), tt.want)
				atomicfile.SweepBeside(d, filepath.Join(dir, "token"))
				return err
			}, func(c filestest.Case) {
				path := filepath.Join(c.Dir, "token")
				b, err := os.ReadFile(path)
				missing := !tt.exists && errors.Is(err, fs.ErrNotExist)
				isOld, isNew := string(b) == was || missing, string(b) == will
				info, _ := os.Stat(path)
				switch {
				case !isOld && !isNew:
					t.Fatalf("a reader sees %d bytes (%v): %s", len(b), err, c.When)
				case !missing && isNew && info.Mode().Perm() != tt.mode, !missing && isOld && info.Mode().Perm() != 0o640:
					t.Fatalf("the mode is %o: %s", info.Mode().Perm(), c.When)
				case c.Err == nil && !isNew:
					t.Fatalf("it said that the content is durable, and it is lost: %s", c.When)
				case c.Err != nil && isNew && !errors.Is(c.Err, filestest.ErrDown) && !errors.Is(c.Err, atomicfile.ErrNotDurable):
					t.Fatalf("it said %q, and the content is seen: %s", c.Err, c.When)
				}
				if c.Err == nil {
					ended++
				}
				if c.PowerLost {
					if err := atomicfile.Replace(context.Background(), files.OS{}, path, []byte("newest"), atomicfile.AsTheyAre()); err != nil {
						t.Fatalf("it can't be written after that: %v: %s", err, c.When)
					}
					return
				}
				for _, left := range temporary(t, c.Dir) {
					if left != ".token.123.tmp" && !removeFailed(c.Disk) {
						t.Fatalf("%s is left behind: %s", left, c.When)
					}
				}
			})
			if n < 10 || ended == 0 {
				t.Errorf("%d operations, %d good ends", n, ended)
			}
		})
	}
}

// removeFailed says whether the disk refused to remove anything.
func removeFailed(d *filestest.Disk) bool {
	for _, op := range d.Log() {
		if strings.HasPrefix(op, "remove ") && strings.Contains(op, ": ") {
			return true
		}
	}
	return false
}

func temporary(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}
