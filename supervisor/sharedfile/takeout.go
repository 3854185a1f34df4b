package sharedfile

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// TakeOut takes a refresh token that is dead out of the file, durably, while its caller
// holds the lock. All else stays, the access token, too. A file that holds another refresh
// token, or none, stays as it is: took says whether this one stood there.
func (f *File) TakeOut(dead sdk.Secret) (took bool, err error) {
	sys, done, err := f.folders.ofToken()
	if err != nil {
		return false, fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	defer done()
	existing, _, err := f.content(sys)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	d, err := format.Decode(f.cfg.Format, existing, f.cfg.options())
	if err != nil || d.RefreshToken.IsZero() || !d.RefreshToken.Equal(dead) { // nobody can use what is left of a damaged one
		return false, nil
	}
	b, err := format.WithoutRefresh(f.cfg.Format, existing, f.cfg.options())
	if err != nil {
		return false, fmt.Errorf("shared file %s: %w", f.cfg.Path, err)
	}
	if err := f.replace(sys, b, atomicfile.AsTheyAre()); err != nil {
		return errors.Is(err, atomicfile.ErrNotDurable), fmt.Errorf("write shared file %s: %w", f.cfg.Path, err)
	}
	return true, nil
}
