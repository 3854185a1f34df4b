package trust

import (
	"errors"
	"io/fs"
)

// Steered refuses with a [*Refusal] what lies at an absolute path and steers what
// is done, or could be put there by somebody who is not trusted while it is
// missing. Other errors are for whoever uses it.
func (j Judge) Steered(path string, rule Rule) error {
	w := &way{judge: j, rule: rule}
	end, err := w.walk(path)
	var refusal *Refusal
	switch {
	case err == nil:
		end.close()
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, fs.ErrNotExist) && w.sticky:
		return w.refuse(w.passed[len(w.passed)-1], "lets everybody on this machine put "+quote(path)+" there, which is missing",
			"make it, or name one in another folder")
	}
	return nil
}
