package trust

import (
	"errors"
	"io/fs"
	"strings"
)

// Steered refuses with a [*Refusal] what lies at an absolute path and steers what
// is done, or could be put there by somebody who is not trusted while it is
// missing. Of a path that ends with a slash what is in the folder steers, too: nobody
// else may be able to add to it. Other errors are for whoever uses it.
func (j Judge) Steered(path string, rule Rule) error {
	w := &way{judge: j, rule: rule}
	end, err := w.walk(path)
	var refusal *Refusal
	switch {
	case err == nil:
		end.close()
		if w.found.Shared && strings.HasSuffix(path, "/") {
			return w.refuse(end.facts, "lets everybody on this machine add to what is looked for in it", "name a folder of root or of the user that runs Tokenkeeper")
		}
	case errors.As(err, &refusal):
		return refusal
	case errors.Is(err, fs.ErrNotExist) && w.sticky:
		return w.refuse(w.passed[len(w.passed)-1], "lets everybody on this machine put "+quote(path)+" there, which is missing",
			"make it, or name one in another folder")
	}
	return nil
}
