package localsocket_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// TestOthersCanPutNoSocketThere: our socket is opened only where nobody else can
// open one of his own in its place, unless the folder is trusted.
func TestOthersCanPutNoSocketThere(t *testing.T) {
	usertest.NeedsRoot(t)
	const bots, open = usertest.Stranger, 0o777
	make := func(path string, mode fs.FileMode, owner int) error {
		return errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode), os.Chown(path, owner, owner))
	}
	for name, c := range map[string]struct {
		prepare func(dir string) error // dir/s is where the socket goes
		want    string                 // what the refusal says; "": opened
		trusted string                 // the same with a folder that is trusted
	}{
		"a folder of ours":  {prepare: func(dir string) error { return make(dir, 0o755, 0) }},
		"that of one other": {prepare: func(dir string) error { return make(dir, 0o755, bots) }},
		"a sticky folder":   {prepare: func(dir string) error { return make(dir, open|fs.ModeSticky, 0) }},
		"a folder for all":  {prepare: func(dir string) error { return make(dir, open, 0) }, want: "can be changed by everybody on this machine"},
		"for a nameless group": {prepare: func(dir string) error {
			return errors.Join(make(dir, 0o2775|fs.ModeSetgid, 0), os.Chown(dir, 0, bots), os.Chmod(dir, 0o775))
		},
			want: "can be changed by the group 34567"},
		"ours alone in a folder for all": {prepare: func(dir string) error {
			return errors.Join(os.Chmod(filepath.Dir(dir), open), make(dir, 0o700, 0))
		}},
		"another's in a folder for all": {prepare: func(dir string) error {
			return errors.Join(os.Chmod(filepath.Dir(dir), open), make(dir, 0o700, bots))
		}, want: "can be changed by everybody"},
		"a link of another": {prepare: func(dir string) error {
			return errors.Join(make(dir+"2", 0o755, 0), os.Symlink(dir+"2", dir), os.Lchown(dir, bots, bots))
		}, want: "is a symbolic link of user 34567", trusted: "is a symbolic link of user 34567"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			for trustFolder, want := range map[bool]string{false: c.want, true: c.trusted} {
				s, err := localsocket.Listen(filepath.Join(dir, "s"), localsocket.Options{Name: "the socket", Key: "path", Mode: 0o600, TrustFolder: trustFolder})
				var refusal *trust.Refusal
				switch {
				case want == "" && err != nil, want != "" && !errors.As(err, &refusal), want != "" && !strings.Contains(err.Error(), want):
					t.Errorf("trusted %t: %v, want %q", trustFolder, err, want)
				case err == nil:
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestSocketOfAnotherIsNotTouched: what a stranger has put at our path is neither
// asked nor removed.
func TestSocketOfAnotherIsNotTouched(t *testing.T) {
	usertest.NeedsRoot(t)
	dir := t.TempDir()
	for at := dir; at != os.TempDir(); at = filepath.Dir(at) {
		if err := os.Chmod(at, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	l := usertest.Listen(t, path, usertest.Stranger)
	if err := l.Close(); err != nil { // which leaves the socket: it is a dead one
		t.Fatal(err)
	}
	_, err := localsocket.Listen(path, localsocket.Options{Name: "the socket", Key: "path", Mode: 0o600})
	if err == nil || !strings.Contains(err.Error(), "who may have put it there") {
		t.Errorf("a stranger's socket: %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("it was touched: %v", err)
	}
}
