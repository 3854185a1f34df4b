package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// A shared file that can be replaced and not be read is in the way of a refresh as long
// as its access token lives: check says so.
func TestASharedFileThatCantBeReadIsInTheWay(t *testing.T) {
	usertest.NeedsRoot(t)
	above := t.TempDir()
	dir := filepath.Join(above, "bots")
	path := filepath.Join(dir, "tokens.json")
	err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, []byte("{}"), 0), os.Chown(path, usertest.Stranger, -1), os.Chown(dir, usertest.Stranger, -1),
		os.Chmod(filepath.Dir(above), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for mode, refused := range map[fs.FileMode]bool{0: true, 0o600: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		said := make(chan error)
		usertest.As(t, usertest.Stranger, func() {
			_, err := tryShared(config.SharedFile{Path: path, Format: format.SaxoCache, UnsafeFilesystem: true})
			said <- err
		})
		if err := <-said; errors.Is(err, fs.ErrPermission) != refused || (err != nil) != refused {
			t.Errorf("mode %s: %v", mode, err)
		}
	}
}
