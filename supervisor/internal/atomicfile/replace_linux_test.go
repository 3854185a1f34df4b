package atomicfile_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

const aclName = "system.posix_acl_access"

// acl is a list that lets user 65534 read beside the owner, and the owning
// group nothing (linux/posix_acl_xattr.h: version 2; tag, permissions, id).
func acl() []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 6, 0xffffffff}, {0x02, 4, 65534}, {0x04, 0, 0xffffffff}, {0x10, 4, 0xffffffff}, {0x20, 0, 0xffffffff}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

func TestAccessControlListIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(path, aclName, acl(), 0); err != nil {
		t.Skipf("no access control lists on this file system: %v", err)
	}
	if err := atomicfile.Replace(t.Context(), files.OS{}, path, []byte("new"), atomicfile.AsTheyAre()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1024)
	n, err := unix.Getxattr(path, aclName, got)
	if err != nil || !bytes.Equal(got[:n], acl()) {
		t.Errorf("the list is now %x, %v", got[:max(n, 0)], err)
	}
	if b, _ := os.ReadFile(path); string(b) != "new" {
		t.Errorf("the file holds %q", b)
	}
}

func TestOwnerAndModeAreKept(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	path := filepath.Join(t.TempDir(), "token")
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chown(path, 65534, 65534), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := atomicfile.Replace(t.Context(), files.OS{}, path, []byte("new"), atomicfile.AsTheyAre()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 || info.Mode().Perm() != 0o644 {
		t.Errorf("owner %d:%d, mode %o", st.Uid, st.Gid, info.Mode().Perm())
	}
}

func TestWhatIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	link, folder := filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	if err := errors.Join(os.Symlink("target", link), os.Mkdir(folder, 0o700)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx  context.Context
		path string
		want string
	}{
		"a link":         {t.Context(), link, "symbolic link"},
		"a folder":       {t.Context(), folder, "it is a folder"},
		"no folder":      {t.Context(), filepath.Join(dir, "no", "token"), filepath.Join(dir, "no") + ": create it"},
		"a lapsed write": {ended, filepath.Join(dir, "token"), "canceled"},
	} {
		err := atomicfile.Replace(tt.ctx, files.OS{}, tt.path, []byte("new"), atomicfile.AsTheyAre())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := os.Lstat(filepath.Join(dir, "token")); err == nil {
		t.Error("a lapsed write is seen")
	}
}
