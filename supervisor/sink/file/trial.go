package file

import (
	"context"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/sdk/files"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Test writes a file as long as the token's beside it, under all the checks and
// with the attributes of a delivery, and removes it. The token's own file is
// only looked at.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	path, err := s.path(d.Document)
	if err != nil {
		return "", fmt.Errorf("%w: %w", sink.ErrRefused, err)
	}
	content, err := s.cfg.Encode(d.Document)
	if err != nil {
		return "", fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	if err := s.inDirectory(path, func(sys files.System, path string, want atomicfile.Attributes) error {
		return atomicfile.Replaceable(sys, path, len(content), want)
	}); err != nil {
		return "", fmt.Errorf("write beside %s: %w", path, err)
	}
	return fmt.Sprintf("wrote a blank file of %d bytes beside %s and removed it", len(content), path), nil
}

// Replaceable says whether the file of an account can be replaced, as Test
// does, without a token to be written.
func (s *Sink) Replaceable(account, provider string) error {
	const room = 16 << 10 // more than any token takes
	path, err := s.PathOf(account, provider)
	if err != nil {
		return err
	}
	if err := s.inDirectory(path, func(sys files.System, path string, want atomicfile.Attributes) error {
		return atomicfile.Replaceable(sys, path, room, want)
	}); err != nil {
		return fmt.Errorf("%s can't be replaced: %w", path, err)
	}
	return nil
}

// PathOf is the file of an account.
func (s *Sink) PathOf(account, provider string) (string, error) {
	return s.path(format.Document{Account: account, Provider: provider})
}
