package file_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

func mkdir(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := errors.Join(os.Mkdir(path, 0o700), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestDirectoriesThatOthersCanChange(t *testing.T) {
	// Of all groups only one that nobody names is surely somebody else's.
	const group = 34567
	for name, c := range map[string]struct {
		above, dir fs.FileMode
		gid        int
		trusting   bool
		want       string
	}{
		"closed":                       {above: 0o755, dir: 0o700},
		"searchable only":              {above: 0o711, dir: 0o700},
		"sticky":                       {above: fs.ModeSticky | 0o777, dir: 0o700},
		"writable by a group":          {above: 0o755, dir: 0o770, gid: group, want: "/above/dir (a folder of mode 0770"},
		"writable by everybody":        {above: 0o755, dir: 0o702, want: "/above/dir (a folder of mode 0702"},
		"the same, which is accepted":  {above: 0o755, dir: 0o777, gid: group, trusting: true},
		"one above is writable":        {above: 0o777, dir: 0o700, want: "/above (a folder of mode 0777"},
		"which is accepted as well":    {above: 0o777, dir: 0o700, trusting: true},
		"sticky, the file's own":       {above: 0o755, dir: fs.ModeSticky | 0o777},
		"sticky, and a group's":        {above: 0o755, dir: fs.ModeSticky | 0o770, gid: group},
		"set-group-id is no harm":      {above: 0o755, dir: fs.ModeSetgid | 0o755, gid: group},
		"set-group-id, the group's":    {above: 0o755, dir: fs.ModeSetgid | 0o775, gid: group, want: "/above/dir (a folder of mode 2775"},
		"the group of nobody but root": {above: 0o775, dir: 0o775},
	} {
		if os.Geteuid() != 0 && (c.gid != 0 || name == "the group of nobody but root") {
			continue // only root can give a folder to any group
		}
		t.Run(name, func(t *testing.T) {
			above := filepath.Join(t.TempDir(), "above")
			mkdir(t, above, 0o700)
			dir := filepath.Join(above, "dir")
			mkdir(t, dir, c.dir)
			if err := errors.Join(os.Chown(dir, -1, max(c.gid, os.Getegid())), os.Chmod(dir, c.dir), os.Chmod(above, c.above)); err != nil {
				t.Fatal(err)
			}
			err := newSink(t, file.Config{Path: filepath.Join(dir, "token"), TrustFolder: c.trusting}).Deliver(t.Context(), sinktest.Bare("a", 1))
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			sinktest.AssertNoSecret(t, err)
			if got := names(t, dir); len(got) != map[bool]int{true: 1, false: 0}[err == nil] {
				t.Errorf("there is %v", got)
			}
		})
	}
}

func TestLinksOnTheWay(t *testing.T) {
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "real"), 0o700)
	mkdir(t, filepath.Join(dir, "real", "below"), 0o700)
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"link/token", "link/below/token"} {
		if err := newSink(t, file.Config{Path: filepath.Join(dir, path)}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Errorf("by a link of our own: %s: %v", path, err)
		}
	}
	if got := names(t, filepath.Join(dir, "real", "below")); len(got) != 1 {
		t.Errorf("behind the link is %v", got)
	}
	if os.Geteuid() != 0 {
		return // only root can make links of others
	}
	if err := os.Lchown(filepath.Join(dir, "link"), 34567, 34567); err != nil {
		t.Fatal(err)
	}
	err := newSink(t, file.Config{Path: filepath.Join(dir, "link/other")}).Deliver(t.Context(), sinktest.Bare("a", 1))
	if err == nil || !strings.Contains(err.Error(), "is a symbolic link of user 34567") {
		t.Errorf("by a link of another user: %v", err)
	}
}

func TestModeIsNeverLoosened(t *testing.T) {
	for _, c := range []struct{ existing, set, want fs.FileMode }{
		{0o600, 0o644, 0o600}, {0o640, 0o600, 0o600}, {0o640, 0o644, 0o640}, {0o440, 0o620, 0o400}, {0o644, 0o640, 0o640},
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, c.existing)); err != nil {
			t.Fatal(err)
		}
		if err := newSink(t, file.Config{Path: path, Mode: c.set}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != c.want {
			t.Errorf("%o, set to %o, became %o; want %o (%v)", c.existing, c.set, info.Mode().Perm(), c.want, err)
		}
	}
}

// Nobody gets a token by being first in a directory for everybody.
func TestForeignFileInASharedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := filepath.Join(t.TempDir(), "shared")
	mkdir(t, dir, fs.ModeSticky|0o777)
	path := filepath.Join(dir, "token")
	if err := errors.Join(os.WriteFile(path, []byte("mine"), 0o600), os.Chown(path, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	err := newSink(t, file.Config{Path: path}).Deliver(t.Context(), sinktest.Bare("a", 1))
	if err == nil || !strings.Contains(err.Error(), "(65534), who may have put it there") {
		t.Errorf("got %v", err)
	}
	if err := newSink(t, file.Config{Path: path, Owner: "65534"}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Errorf("it is the owner that was set: %v", err)
	}
}
