package config

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"path/filepath"
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
