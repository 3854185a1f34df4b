package sharedfile

import (
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lockholder"
)

// On moves the file to another file system.
func (f *File) On(sys files.System) { f.folders.sys = sys }

// CountLooks counts in n how often f finds out who holds the lock.
func (f *File) CountLooks(n *int) {
	f.seen.find = func(path string) lockholder.Holders {
		*n++
		return lockholder.Find(path)
	}
}

// Settle is how long a burst of changes may last that is told as one.
const Settle = settle
