package unixsocket_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/usertest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/unixsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// TestNothingIsSentToAStranger opens the consumer's socket as another user.
func TestNothingIsSentToAStranger(t *testing.T) {
	usertest.NeedsRoot(t)
	const stranger = usertest.Stranger
	for name, tc := range map[string]struct {
		mode    fs.FileMode
		owner   int
		allowed []int
		refused string
	}{
		"in a sticky folder":                        {fs.ModeSticky | 0o777, 0, nil, "everybody may open a socket in"},
		"in a sticky folder, and allowed":           {fs.ModeSticky | 0o777, 0, []int{stranger}, ""},
		"in his own folder":                         {0o755, stranger, nil, ""},
		"in his own folder, which others write":     {0o777, stranger, nil, "can be changed by everybody"},
		"in the folder of somebody else, as it was": {fs.ModeSticky | 0o777, stranger + 1, nil, "is not trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			mkdir := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode))
			// Whoever is not root has to reach it.
			if err := errors.Join(mkdir, os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "bot.sock")
			l := usertest.Listen(t, path, stranger)
			got := make(chan string, 1)
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				b, _ := once(conn)
				_, _ = conn.Write([]byte("OK"))
				_ = conn.Close()
				got <- string(b)
			}()
			s, err := unixsocket.New(unixsocket.Config{Path: path, Encode: encode, AllowUIDs: tc.allowed})
			if err != nil {
				t.Fatal(err)
			}
			err = s.Deliver(t.Context(), sinktest.Full("a", 1))
			heard := <-got
			if tc.refused == "" {
				if err != nil || heard == "" {
					t.Errorf("heard %d bytes, %v", len(heard), err)
				}
				return
			}
			var refusal *trust.PeerRefusal
			if !errors.As(err, &refusal) || !strings.Contains(err.Error(), tc.refused) || !strings.Contains(err.Error(), "allow_uids: [34567]") {
				t.Errorf("the refusal says: %v", err)
			}
			if heard != "" {
				t.Errorf("a stranger heard %q", heard)
			}
		})
	}
}

// TestLinkOfAStranger: what a link in a folder for everybody leads to may be a
// service of root, but not the one that was meant.
func TestLinkOfAStranger(t *testing.T) {
	usertest.NeedsRoot(t)
	const stranger = usertest.Stranger
	for name, tc := range map[string]struct {
		mode        fs.FileMode
		owner, link int
		refused     bool
	}{
		"in a sticky folder":           {fs.ModeSticky | 0o777, 0, stranger, true},
		"our own, in a sticky folder":  {fs.ModeSticky | 0o777, 0, 0, false},
		"of the owner of its folder":   {0o755, stranger, stranger, false},
		"of another, in such a folder": {0o755, stranger, stranger + 1, true},
	} {
		leads := func(t *testing.T, above bool) {
			dir := filepath.Join(t.TempDir(), "run")
			real, path := filepath.Join(filepath.Dir(dir), "root.sock"), filepath.Join(dir, "bot.sock")
			link, to := path, real
			if above {
				link, to = filepath.Join(dir, "way"), ".." // from where the link is
				path = filepath.Join(link, "root.sock")
			}
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, tc.owner, tc.owner), os.Chmod(dir, tc.mode),
				os.Symlink(to, link), os.Lchown(link, tc.link, tc.link)); err != nil {
				t.Fatal(err)
			}
			l := usertest.Listen(t, real, 0)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					if b, _ := once(conn); len(b) > 0 && tc.refused {
						t.Errorf("it was sent %d bytes", len(b))
					}
					_, _ = conn.Write([]byte("OK"))
					_ = conn.Close()
				}
			}()
			s, err := unixsocket.New(unixsocket.Config{Path: path, Encode: encode})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Deliver(t.Context(), sinktest.Full("a", 1)); (err != nil) != tc.refused || err != nil && !strings.Contains(err.Error(), "symbolic link") {
				t.Errorf("refused %t: %v", tc.refused, err)
			}
		}
		t.Run(name, func(t *testing.T) { leads(t, false) })
		t.Run(name+", above the socket", func(t *testing.T) { leads(t, true) })
	}
}
