package supervisor

import (
	"slices"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/restore"
)

// decoder reads what a sink gave back, or what its file holds; of a format that
// is written and never read it need not be able to.
func decoder(c config.Content) func([]byte) (format.Document, error) {
	readable := c.Format == "" || slices.Contains(format.Names(), c.Format)
	return func(body []byte) (format.Document, error) {
		d, err := restore.Decode(c, body)
		if err != nil && !readable {
			return format.Document{}, nil
		}
		return d, err
	}
}
