package trust

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPrivate holds each folder against the rule for the state directory.
func TestPrivate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make folders of other users")
	}
	const bots = 34567
	type entry struct {
		path  string
		mode  os.FileMode
		owner int
		link  string
	}
	for name, c := range map[string]struct {
		made  []entry
		path  string
		want  string // what the error says; "": it is private
		owner bool   // another user is trusted
	}{
		"ours":                        {made: []entry{{path: "a", mode: 0o755}, {path: "a/s", mode: 0o700}}, path: "a/s"},
		"open to others":              {made: []entry{{path: "s", mode: 0o750}}, path: "s", want: "is open to others, and it holds refresh tokens: chmod 700 "},
		"for all":                     {made: []entry{{path: "s", mode: 0o777}}, path: "s", want: "chmod 700 "},
		"another's":                   {made: []entry{{path: "s", mode: 0o700, owner: bots}}, path: "s", want: "belongs to user 34567, and this is root (0)"},
		"systemd's":                   {made: []entry{{path: "s", mode: 0o700, owner: 61200}}, path: "s", want: "--unit and the service's name"},
		"in the folder of another":    {made: []entry{{path: "a", mode: 0o755, owner: bots}, {path: "a/s", mode: 0o700}}, path: "a/s", owner: true},
		"in a folder for all":         {made: []entry{{path: "a", mode: 0o777}, {path: "a/s", mode: 0o700}}, path: "a/s"},
		"missing in a folder for all": {made: []entry{{path: "a", mode: 0o777}}, path: "a/s", want: "there is no "},
		"another's in a folder for all": {made: []entry{{path: "a", mode: 0o777}, {path: "a/s", mode: 0o700, owner: bots}}, path: "a/s",
			want: "can be changed by everybody on this machine: chmod go-w "},
		"open, in a folder for all": {made: []entry{{path: "a", mode: 0o777}, {path: "a/s", mode: 0o755}}, path: "a/s", want: "can be changed by everybody"},
		"below a folder for all":    {made: []entry{{path: "a", mode: 0o777}, {path: "a/b", mode: 0o755}, {path: "a/b/s", mode: 0o700}}, path: "a/b/s", want: "can be changed by everybody"},
		"by a link in a folder for all": {made: []entry{{path: "a", mode: 0o777}, {path: "s", mode: 0o700}, {path: "a/l", link: "../s"}}, path: "a/l",
			want: "can be changed by everybody"},
		"by the link of another": {made: []entry{{path: "s", mode: 0o700}, {path: "l", link: "s", owner: bots}}, path: "l", want: "is a symbolic link of user 34567"},
		// systemd.exec(5): DynamicUser= with StateDirectory=.
		"/var/lib/private": {made: []entry{{path: "lib", mode: 0o755}, {path: "lib/private", mode: 0o700}, {path: "lib/private/tk", mode: 0o700},
			{path: "lib/tk", link: "private/tk"}}, path: "lib/tk"},
		"no directory": {made: []entry{{path: "s", link: "/dev/null"}}, path: "s", want: "is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := place(t)
			for _, e := range c.made {
				path := filepath.Join(dir, e.path)
				if e.link != "" {
					must(t, errors.Join(os.Symlink(e.link, path), os.Lchown(path, e.owner, e.owner)))
					continue
				}
				must(t, errors.Join(os.Mkdir(path, 0o700), os.Chown(path, e.owner, e.owner), os.Chmod(path, e.mode)))
			}
			grounds, err := Here().Private(filepath.Join(dir, c.path))
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if (grounds.Owner != nil) != c.owner {
				t.Errorf("owner: %+v", grounds.Owner)
			}
		})
	}
}
