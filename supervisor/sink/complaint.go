package sink

import (
	"fmt"
	"log/slog"
	"strings"
)

// maxCauses bounds the causes of failure that a sink tells apart.
const maxCauses = 16

// complaints are, by the cause of a failure, the entry whose tries the log tells
// of in the name of all that fail alike: a receiver that is down fails every
// account.
type complaints map[string]*entry

// speaker returns who speaks for an entry that fails for its cause.
func (c complaints) speaker(e *entry) *entry {
	if by := c[e.cause]; by != nil && by.losing > 0 && by.cause == e.cause {
		return by
	}
	if len(c) >= maxCauses {
		clear(c)
	}
	c[e.cause] = e
	return e
}

// complain counts a failed try, and returns the level at which the log tells of
// it, and what there is to say of the others that fail. open are all that may.
func (c complaints) complain(e *entry, err error, policy RetryPolicy, open map[*entry]struct{}) (level slog.Level, others string) {
	e.losing++
	e.cause = strings.ReplaceAll(err.Error(), e.name, "")
	if c.speaker(e) != e || !policy.loud(e.losing) {
		return slog.LevelDebug, ""
	}
	n := 0
	for other := range open {
		if other != e && other.losing > 0 {
			n++
		}
	}
	switch n {
	case 0:
		return slog.LevelWarn, ""
	case 1:
		return slog.LevelWarn, "; another delivery to it fails too"
	}
	return slog.LevelWarn, fmt.Sprintf("; %d other deliveries to it fail too", n)
}
