package file

import "github.com/tokenkeeper/tokenkeeper/sdk/files"

// On moves the sink to another file system.
func (s *Sink) On(sys files.System) { s.sys = sys }
