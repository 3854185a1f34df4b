package sharedfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile"
)

// unreadable is a disk that can't read one file.
type unreadable struct {
	files.OS
	path string
	why  error // nil: it can
}

func (d *unreadable) OpenFile(name string, flag int, perm fs.FileMode) (files.File, error) {
	if name == d.path && d.why != nil && flag&(os.O_WRONLY|os.O_RDWR) == 0 {
		return nil, &fs.PathError{Op: "open", Path: name, Err: d.why}
	}
	return d.OS.OpenFile(name, flag, perm)
}

// What can't be read can be replaced all the same: it is proved, and only asked for it is
// put aside as it is, for what is like the file when it was whole.
func TestAFileThatCantBeRead(t *testing.T) {
	const content = `{"app_key": "theirs", "access_token": "a1", "refresh_token": "r1", "token_expiry": "2030-01-02T03:04:05.000006"}`
	for _, why := range []error{syscall.EIO, syscall.EACCES} {
		for name, known := range map[string]bool{"seen whole before": true, "never seen": false} {
			t.Run(name+", "+why.Error(), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "token.json")
				disk := &unreadable{path: path}
				f, _ := newFile(t, sharedfile.Config{Path: path, AllowUnsafe: true, System: disk})
				write(t, path, content, 0o640)
				if known {
					if _, err := f.Read(); err != nil {
						t.Fatal(err)
					}
				}
				if _, err := f.Supersede(document("a2", "r2")); err == nil {
					t.Error("one that can be read was replaced unread")
				}
				if err := os.Chmod(path, 0o040); err != nil {
					t.Fatal(err)
				}
				disk.why = why
				release, err := f.Lock(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(f.Prove(), f.Replaceable()); err != nil {
					t.Fatal(err)
				}
				if _, err := f.Read(); !errors.Is(err, why) || sharedfile.Nothing(err) {
					t.Errorf("read: %v", err)
				}
				_, mended := f.Mend(document("a2", "r2"))
				if written := f.Write(document("a2", "r2")); !errors.Is(written, why) || !errors.Is(mended, why) {
					t.Errorf("written over unread: %v, %v", written, mended)
				}
				kept, err := f.Supersede(document("a2", "r2"))
				if err != nil || kept != path+".damaged" {
					t.Fatalf("kept in %q, %v", kept, err)
				}
				if err := release(); err != nil {
					t.Error(err)
				}
				disk.why = nil
				was, err := os.ReadFile(kept)
				if err != nil || string(was) != content {
					t.Errorf("kept: %q, %v", was, err)
				}
				d, err := f.Read()
				b, _ := os.ReadFile(path)
				if err != nil || d.RefreshToken.Reveal() != "r2" || known != strings.Contains(string(b), `"theirs"`) {
					t.Errorf("it holds %s, %v", b, err)
				}
				info, err := os.Stat(path)
				if err != nil || known && info.Mode() != 0o640 || !known && info.Mode() != 0o640|0o600 {
					t.Errorf("its mode is %s, %v", info.Mode(), err)
				}
			})
		}
	}
}

// A folder, a link or another user's file is none that can't be read.
func TestWhatIsNoFileIsNotReplacedUnread(t *testing.T) {
	for name, put := range map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a link":   func(path string) error { return os.Symlink("nowhere", path) },
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token.json")
			f, _ := newFile(t, sharedfile.Config{Path: path, AllowUnsafe: true})
			if err := put(path); err != nil {
				t.Fatal(err)
			}
			_, err := f.Supersede(document("a2", "r2"))
			if proved := f.Prove(); err == nil || proved == nil {
				t.Errorf("proved: %v, replaced: %v", proved, err)
			}
			if _, err := os.Lstat(path + ".damaged"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("it was moved: %v", err)
			}
		})
	}
}
