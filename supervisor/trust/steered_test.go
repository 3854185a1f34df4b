package trust

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// What is missing steers, too, where others could put it there.
func TestSteeredAndMissing(t *testing.T) {
	dir := place(t)
	for name, c := range map[string]struct {
		mode   os.FileMode
		refuse bool
	}{
		"ours alone":              {0o755, false},
		"sticky, for everybody":   {0o777 | os.ModeSticky, true},
		"everybody may change it": {0o777, true},
	} {
		folder := filepath.Join(dir, name)
		must(t, errors.Join(os.Mkdir(folder, 0o700), os.Chmod(folder, c.mode)))
		err := Here().Steered(filepath.Join(folder, "later"), Rule{Steers: true})
		var refusal *Refusal
		if errors.As(err, &refusal) != c.refuse || (err != nil) != c.refuse || c.refuse && refusal.Path != folder {
			t.Errorf("%s: %v", name, err)
		}
	}
}
