package configfile

import (
	"os"
	"path/filepath"
	"strings"
)

// mostLinks is how many symbolic links the kernel follows (path_resolution(7)).
const mostLinks = 40

// way is an absolute path, every symbolic link that it leads over, and the file itself, there
// or not, each by a path on which no other link lies: what they lie in tells when another one
// takes their place, and nobody else does.
func way(path string) []string {
	var links []string
	at, rest := "/", strings.Split(path, "/")
	for len(rest) > 0 {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		to, err := os.Readlink(next)
		if err != nil || len(links) == mostLinks {
			at = next
			continue
		}
		if links = append(links, next); filepath.IsAbs(to) {
			at = "/"
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return append(links, at)
}
