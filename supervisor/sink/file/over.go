package file

import (
	"io"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// over is content with what others have put into the file at path. A token is
// worth more than that: what can't be read, or is larger than any such file, is
// replaced as it is.
func (s *Sink) over(sys files.System, path string, content []byte, d format.Document) []byte {
	if s.cfg.Keep == nil {
		return content
	}
	existing := readBounded(sys, path)
	if existing == nil {
		return content
	}
	if merged, err := s.cfg.Keep(existing, d); err == nil {
		return merged
	}
	return content
}

// readBounded returns the content of the file at path; nil: there is none, or
// none that counts.
func readBounded(sys files.System, path string) []byte {
	f, err := open(sys, path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil || len(b) > largest {
		return nil
	}
	return b
}
