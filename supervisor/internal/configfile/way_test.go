package configfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

func TestWay(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(dir, "mounted/..1"), 0o700), os.WriteFile(filepath.Join(dir, "mounted/..1/tk.yaml"), nil, 0o600),
		os.Symlink("..1", filepath.Join(dir, "mounted/..data")), os.Symlink("..data/tk.yaml", filepath.Join(dir, "mounted/tk.yaml")),
		os.Symlink(filepath.Join(dir, "mounted"), filepath.Join(dir, "absolute")), os.Symlink("circle", filepath.Join(dir, "circle")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"mounted/..1/tk.yaml":        "mounted/..1/tk.yaml",
		"mounted/tk.yaml":            "mounted/tk.yaml mounted/..data mounted/..1/tk.yaml",
		"absolute/tk.yaml":           "absolute mounted/tk.yaml mounted/..data mounted/..1/tk.yaml",
		"mounted/../absolute/gone/x": "absolute mounted/gone/x",
		"mounted/..data/../tk.yaml":  "mounted/..data mounted/tk.yaml mounted/..data mounted/..1/tk.yaml",
		"nowhere":                    "nowhere",
	} {
		var got []string
		for _, at := range way(dir + "/" + path) {
			got = append(got, strings.TrimPrefix(at, dir+"/"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("to %s: %q, want %s", path, got, want)
		}
	}
	if got := way(dir + "/circle"); len(got) != mostLinks+1 || len(slices.Compact(got)) != 1 {
		t.Errorf("of a link to itself: %q", got)
	}
}

// However another text gets into the place of a file, it is news.
func TestFollow(t *testing.T) {
	put := func(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
	for name, change := range map[string]func(dir string) error{
		"written in place": func(dir string) error { return put(dir+"/..1/tk.yaml", "new") },
		"another one is moved there": func(dir string) error {
			return errors.Join(put(dir+"/..1/.tk.yaml.swp", "new"), os.Rename(dir+"/..1/.tk.yaml.swp", dir+"/..1/tk.yaml"))
		},
		"removed":               func(dir string) error { return os.Remove(dir + "/..1/tk.yaml") },
		"it may be read by now": func(dir string) error { return os.Chmod(dir+"/..1/tk.yaml", 0o640) },
		"the link is another one": func(dir string) error {
			return errors.Join(os.Remove(dir+"/tk.yaml"), os.Symlink("..2/tk.yaml", dir+"/tk.yaml"))
		},
		"a file instead of the link": func(dir string) error { return errors.Join(os.Remove(dir+"/tk.yaml"), put(dir+"/tk.yaml", "new")) },
		"the folder's link, as in Kubernetes": func(dir string) error {
			return errors.Join(os.Symlink("..2", dir+"/..data_tmp"), os.Rename(dir+"/..data_tmp", dir+"/..data"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := errors.Join(os.Mkdir(dir+"/..1", 0o700), os.Mkdir(dir+"/..2", 0o700), put(dir+"/..1/tk.yaml", "one"), put(dir+"/..2/tk.yaml", "two"),
				os.Symlink("..1", dir+"/..data"), os.Symlink("..data/tk.yaml", dir+"/tk.yaml")); err != nil {
				t.Fatal(err)
			}
			told := make(chan struct{}, 100)
			following, err := follow(way(dir+"/tk.yaml"), func() { told <- struct{}{} })
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := following.Close(); err != nil {
					t.Error(err)
				}
			}()
			if err := put(dir+"/..1/beside", "x"); err != nil || len(told) > 0 {
				t.Errorf("a file beside it is news (%v)", err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			select {
			case <-told:
			case <-waittest.Late(t):
				t.Error("it is no news")
			}
		})
	}
}
