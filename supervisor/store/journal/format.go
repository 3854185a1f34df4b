// Package journal is the file that a store is in: frames with checksums, in two copies
// that share no block of the disk, and two heads. It knows bytes and where they stand,
// and nothing of what they mean. The layout is in the README.
package journal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Errors of a file that is not believed as a whole.
var (
	// ErrNewerFormat: a newer program wrote it.
	ErrNewerFormat = errors.New("the store was written by a newer Tokenkeeper")
	errNewer       = fmt.Errorf("%w; run the newer program again, or restore a backup of the older one", ErrNewerFormat)
	// ErrDamaged: not all of it can be read.
	ErrDamaged = errors.New("the store is damaged")
)

// The format of what is stored. Within a major version a newer program adds
// fields at the top level of a record and of an intent, and keys of their own:
// there an older program keeps what it does not know. Everything else is a new
// major version, which an older program refuses.
const (
	formatMajor = 3
	formatMinor = 0
	// Version is the format that this program writes.
	Version = "3.0"
)

// CheckFormat says whether this program may read and write what has format v, and
// returns the version that it has after a change by this program: a newer minor
// version keeps its number.
func CheckFormat(v string) (upgraded string, err error) {
	before, after, _ := strings.Cut(v, ".")
	major, err := strconv.ParseUint(before, 10, 31)
	minor, minorErr := strconv.ParseUint(after, 10, 31)
	switch {
	case err != nil || minorErr != nil || major == 0:
		return "", fmt.Errorf("%w: its format version is unreadable", ErrDamaged)
	case major > formatMajor:
		return "", fmt.Errorf("%w: format %s, and this program knows %s; run the newer program again, or restore a backup of the older one",
			ErrNewerFormat, v, Version)
	case major < formatMajor:
		return "", fmt.Errorf("%w: format %s is of before the first release", ErrDamaged, v)
	case minor > formatMinor:
		return v, nil
	}
	return Version, nil
}
