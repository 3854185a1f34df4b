package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// stillSince begins the message of an alert that is repeated, and stillEnd ends
// that beginning.
const (
	stillSince = "still, since "
	stillEnd   = " UTC: "
)

// text is what is wrong and what to do about it.
func (c Condition) text() string {
	if c.Todo == "" {
		return c.What
	}
	return c.What + "; " + c.Todo
}

// raised, repeated and recovered are the messages of an alert's states.

func (c Condition) raised() string { return c.text() }

func (c Condition) repeated(since time.Time) string {
	return stillSince + moment.Stamp(since) + ": " + c.text()
}

func (c Condition) recovered(since, now time.Time) string {
	return fmt.Sprintf("over after %s: %s", span(now.Sub(since)), c.What)
}

// core is the text of the trouble in an alert's message.
func core(a event.Alert) string {
	if rest, ok := strings.CutPrefix(a.Message, stillSince); ok {
		if _, text, ok := strings.Cut(rest, stillEnd); ok {
			return text
		}
	}
	return a.Message
}
