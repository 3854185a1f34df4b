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
	for name, c := range map[string]struct {
		above, dir fs.FileMode
		want       string
	}{
		"closed":                    {0o755, 0o700, ""},
		"searchable only":           {0o711, 0o700, ""},
		"sticky":                    {fs.ModeSticky | 0o777, 0o700, ""},
		"writable by the group":     {0o755, 0o770, "/above/dir (mode 0770)"},
		"writable by everybody":     {0o755, 0o702, "/above/dir (mode 0702)"},
		"one above is writable":     {0o775, 0o700, "/above (mode 0775)"},
		"sticky, the file's own":    {0o755, fs.ModeSticky | 0o777, ""},
		"sticky, and a group's":     {0o755, fs.ModeSticky | 0o770, ""},
		"set-group-id is no harm":   {0o755, fs.ModeSetgid | 0o755, ""},
		"set-group-id, group's own": {0o755, fs.ModeSetgid | 0o775, "/above/dir (mode 02775)"},
	} {
		t.Run(name, func(t *testing.T) {
			above := filepath.Join(t.TempDir(), "above")
			mkdir(t, above, 0o700)
			dir := filepath.Join(above, "dir")
			mkdir(t, dir, c.dir)
			if err := os.Chmod(above, c.above); err != nil {
				t.Fatal(err)
			}
			err := newSink(t, file.Config{Path: filepath.Join(dir, "token")}).Deliver(t.Context(), sinktest.Bare("a", 1))
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
		err := newSink(t, file.Config{Path: filepath.Join(dir, path)}).Deliver(t.Context(), sinktest.Bare("a", 1))
		if err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "link")+" is a symbolic link") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if got := names(t, filepath.Join(dir, "real")); len(got) != 1 {
		t.Errorf("written behind the link: %v", got)
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
	if err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("got %v", err)
	}
	if err := newSink(t, file.Config{Path: path, Owner: "65534"}).Deliver(t.Context(), sinktest.Bare("a", 1)); err != nil {
		t.Errorf("it is the owner that was set: %v", err)
	}
}
