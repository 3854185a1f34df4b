package datafolder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// list lets user 65534 read and write beside the owner, and the owning group
// nothing (linux/posix_acl_xattr.h: version 2; tag, permissions, id).
var list = []byte{
	2, 0, 0, 0,
	1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
	2, 0, 6, 0, 0xfe, 0xff, 0, 0,
	4, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
	16, 0, 6, 0, 0xff, 0xff, 0xff, 0xff,
	32, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
}

const aclName = "system.posix_acl_access"

// Who can put another directory in the place of the one that was looked at
// must not have the token's file opened to others by a list from there.
func TestAccessControlListComesFromTheOpenDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tokens")
	path := filepath.Join(dir, "token")
	put := func() {
		t.Helper()
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, []byte("old"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for name, replaced := range map[string]bool{"kept": false, "of another directory": true} {
		t.Run(name, func(t *testing.T) {
			put()
			folder, err := Open(path, trust.Rule{})
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			if replaced {
				if err := os.Rename(dir, dir+".away"); err != nil {
					t.Fatal(err)
				}
				put()
			}
			if err := unix.Setxattr(path, aclName, list, 0); errors.Is(err, unix.EOPNOTSUPP) {
				t.Skip("no access control lists here")
			} else if err != nil {
				t.Fatal(err)
			}
			if err := atomicfile.Replace(t.Context(), folder, path, []byte("new"), atomicfile.AsTheyAre()); err != nil {
				t.Fatal(err)
			}
			written := path
			if replaced {
				written = filepath.Join(dir+".away", "token")
			}
			got := make([]byte, 1024)
			n, err := unix.Getxattr(written, aclName, got)
			if has := err == nil && bytes.Equal(got[:n], list); has == replaced {
				t.Errorf("the new file has the list: %t (%v)", has, err)
			}
			if b, err := os.ReadFile(written); string(b) != "new" {
				t.Errorf("the file holds %q, %v", b, err)
			}
			if err := errors.Join(os.RemoveAll(dir), os.RemoveAll(dir+".away")); err != nil {
				t.Fatal(err)
			}
		})
	}
}
