package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// origin is the file that a configuration was read from, as it was then.
type origin struct {
	path string // absolute; "": it came from no file
	sum  [sha256.Size]byte
	// refers are the files that it refers to, as they were: a shared file of the account
	// that refers to it is not among them, because it is written all the time.
	refers map[string]stamp
}

// stamp tells a file that was written from what it was before, mostly. That of one that
// is gone is zero.
type stamp struct {
	written, size int64
	unseen        bool // it can't be looked at
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stamp{}
	case err != nil:
		return stamp{unseen: true}
	}
	return stamp{written: info.ModTime().UnixNano(), size: info.Size()}
}

// at is when it was written; zero: that can't be told.
func (s stamp) at() time.Time {
	if s.written == 0 {
		return time.Time{}
	}
	return time.Unix(0, s.written)
}

func (l *loader) origin(data []byte) origin {
	if l.source.Bytes != nil || l.source.Path == "" {
		return origin{}
	}
	o := origin{path: l.source.Path, sum: sha256.Sum256(data), refers: map[string]stamp{}}
	if !filepath.IsAbs(o.path) {
		o.path = filepath.Join(l.folders.cwd, o.path)
	}
	for path, file := range l.references.secrets {
		if file.steady && file.err == nil {
			o.refers[path] = file.stamp
		}
	}
	return o
}

// Changed says whether the file does not hold any more what was read from it, or one
// that it refers to was written since. The environment is not looked at. A file that
// can't be read is not called changed, unless it is gone. It may hang at a file system
// that does not answer.
func (c *Config) Changed() bool {
	return c.origin.look().changed
}

// Unchanged says whether all of that was seen, and is as it was.
func (c *Config) Unchanged() bool {
	seen := c.origin.look()
	return !seen.changed && !seen.unseen
}

// ChangedAt is when the newest of what has changed was written; zero: nothing has, or
// that can't be told.
func (c *Config) ChangedAt() time.Time {
	return c.origin.look().at
}

// Rewritten says whether something else was written to one of them. One that is gone is
// not rewritten, nor are the others as long as the configuration's own is gone: whoever
// replaces files may be about to put them there.
func (c *Config) Rewritten() bool {
	seen := c.origin.look()
	return seen.rewritten && !seen.away
}

// Files are the absolute paths of all of them; none if it came from no file.
func (c *Config) Files() []string {
	if c.origin.path == "" {
		return nil
	}
	return append(slices.Collect(maps.Keys(c.origin.refers)), c.origin.path)
}

// Referred are the files that the configuration of a source refers to, there or not and
// whatever is wrong with it, but for a shared file of the account that does.
func Referred(src Source) (files []string) {
	l, data := open(src)
	if len(l.problems) > 0 {
		return nil
	}
	_, _, _ = l.load(data)
	for path, file := range l.references.secrets {
		if file.steady {
			files = append(files, path)
		}
	}
	return files
}

// Imprint tells what files hold, and whose they are, from how that is at another time, and
// does not tell it.
type Imprint [sha256.Size]byte

// ImprintOf reads all files. It may hang at a file system that does not answer.
func ImprintOf(files []string) Imprint {
	var all []byte
	for _, path := range files {
		data, _, err := readText(path, maxFileSize)
		all = fmt.Appendf(all, "%q %x %v %s %s\n", path, sha256.Sum256(data), err, accessOf(path), accessOf(filepath.Dir(path)))
	}
	return sha256.Sum256(all)
}

// accessOf is whose a file or folder is and who may use it, by which it may be refused; "":
// nobody knows.
func accessOf(path string) string {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return ""
	}
	return fmt.Sprintf("%o %d:%d", st.Mode, st.Uid, st.Gid)
}

// glance is how the files were found.
type glance struct {
	changed   bool
	rewritten bool // by something that is there
	away      bool // the configuration's own is gone
	unseen    bool // some could not be looked at
	// at is when the newest of what has changed was written; zero: that can't be told.
	at time.Time
}

func (o origin) look() (g glance) {
	if o.path == "" {
		return g
	}
	see := func(written time.Time, gone bool) {
		g.changed, g.at = true, moment.Later(moment.Known(written), g.at)
		g.rewritten = g.rewritten || !gone
	}
	switch data, _, err := readText(o.path, maxFileSize); {
	case errors.Is(err, fs.ErrNotExist):
		g.away = true
		see(time.Time{}, true)
	case err != nil:
		g.unseen = true
	case sha256.Sum256(data) != o.sum:
		see(stampOf(o.path).at(), false)
	}
	for path, was := range o.refers {
		switch now := stampOf(path); {
		case now.unseen:
			g.unseen = true
		case now != was:
			see(now.at(), now == stamp{})
		}
	}
	return g
}
