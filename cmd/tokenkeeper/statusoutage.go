package main

import (
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// outageNote is for how long the consumers of an account go on without a next token.
func outageNote(o control.Outage) cell {
	c := cell{"outage budget " + moment.Span(o.Left), plain}
	if o.Sink != "" {
		c.text += " (sink " + o.Sink + ")"
	}
	c.text += ", in the last day at least " + moment.Span(o.Worst)
	if o.Planned > 0 {
		c.text += fmt.Sprintf(", as planned at least %s", moment.Span(o.Planned))
	}
	if o.Short {
		c.style = yellow
	}
	return c
}
