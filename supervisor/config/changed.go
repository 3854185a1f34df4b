package config

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// origin is the file that a configuration was read from, as it was then.
type origin struct {
	path string // absolute; "": it came from no file
	sum  [sha256.Size]byte
}

func (l *loader) origin(data []byte) origin {
	if l.source.Bytes != nil || l.source.Path == "" {
		return origin{}
	}
	path := l.source.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.folders.cwd, path)
	}
	return origin{path, sha256.Sum256(data)}
}

// Changed says whether the file does not hold any more what was read from it.
// What it refers to, and the environment, are not looked at. A file that can't be
// read is not called changed, unless it is gone.
func (c *Config) Changed() bool {
	if c.origin.path == "" {
		return false
	}
	data, _, err := readText(c.origin.path, maxFileSize)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	return sha256.Sum256(data) != c.origin.sum
}

// WrittenAt is when the file was written; zero: that can't be told.
func (c *Config) WrittenAt() time.Time {
	if c.origin.path == "" {
		return time.Time{}
	}
	info, err := os.Stat(c.origin.path)
	if err != nil {
		return time.Time{}
	}
	return moment.Known(info.ModTime())
}
