package sharedfile

import "github.com/tokenkeeper/tokenkeeper/sdk/files"

// On moves the file to another file system.
func (f *File) On(sys files.System) { f.sys = sys }
