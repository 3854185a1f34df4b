package sink

import (
	"slices"
	"strconv"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file knows how a token is written for a sink. Whoever changes that waits for no
// refresh: what the sink has is delivered anew.

// Shaped is for sinks that put a token in its place in more than one way.
type Shaped interface {
	// Shape is all of the configuration that says how, beside what the token is written
	// as, the same in every process. There is no secret in it.
	Shape() []string
}

// ShapeOf is how tokens are written for a sink that is configured so.
func ShapeOf(c config.Sink) []string {
	return []string{c.Content.Format, c.Content.Template, c.Content.Timezone, strconv.FormatBool(c.IncludeRefreshToken)}
}

// shapeOf names the shape in which a sink gets tokens, for the ledger.
func shapeOf(content []string, s Sink) string {
	if shaped, ok := s.(Shaped); ok {
		content = append(slices.Clip(content), shaped.Shape()...)
	}
	return AddressOf("shape", content...)[len("at "):]
}

// reshaped says whether what the ledger notes was delivered in another shape. A line that
// names none is of an older program, and counts as this one's, so that an upgrade delivers
// nothing once more.
func (d *setup) reshaped(has store.Delivery) bool {
	return has.Version > 0 && has.Shape != "" && has.Shape != d.shape
}
