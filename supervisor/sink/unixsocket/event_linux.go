package unixsocket

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// event reads the first inotify event in b, which holds at least its header
// (struct inotify_event: wd, mask, cookie, len, then the name padded with
// zeros), and returns what follows it.
func event(b []byte) (mask uint32, name string, rest []byte) {
	mask = binary.NativeEndian.Uint32(b[4:])
	end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
	if end > len(b) {
		return mask, "", nil
	}
	name = strings.TrimRight(string(b[unix.SizeofInotifyEvent:end]), "\x00")
	return mask, name, b[end:]
}
