package file

import (
	"fmt"
	"io"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// over is content with what others have put into the file that existing is from. A
// token is worth more than that: what can't be read, or is larger than any such file,
// is replaced as it is.
func (s *Sink) over(existing, content []byte, d format.Document) []byte {
	if s.cfg.Keep == nil || existing == nil {
		return content
	}
	if merged, err := s.cfg.Keep(existing, d); err == nil {
		return merged
	}
	return content
}

// keepRest keeps beside the file at path what it holds, if that is cut off or damaged and
// may have been a token: nobody else may have that.
func (s *Sink) keepRest(sys files.System, path string, existing []byte) error {
	if s.cfg.Decode == nil || len(existing) == 0 {
		return nil
	}
	if _, err := s.cfg.Decode(existing); err == nil {
		return nil
	}
	if _, rest := format.Salvage(existing); !rest {
		return nil
	}
	if _, err := atomicfile.KeepAside(sys, path, existing); err != nil {
		return fmt.Errorf("keep what is left in it beside it: %w", err)
	}
	return nil
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
