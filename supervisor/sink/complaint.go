package sink

import (
	"fmt"
	"log/slog"
	"strings"
)

// maxCauses bounds the causes of failure that a sink tells apart.
const maxCauses = 16

// spokesmen are, by the cause of a failure, the lane whose tries the log tells
// of in the name of all lanes that fail alike: a receiver that is down fails
// every account.
type spokesmen map[string]*lane

// of returns who speaks for a lane that fails for its cause.
func (s spokesmen) of(l *lane) *lane {
	if by := s[l.cause]; by != nil && by.losing > 0 && by.cause == l.cause {
		return by
	}
	if len(s) >= maxCauses {
		clear(s)
	}
	s[l.cause] = l
	return l
}

// complaint counts a failed try, and returns the level at which the log tells
// of it, and what there is to say of the other lanes. The caller holds mu.
func (w *Worker) complaint(l *lane, err error) (level slog.Level, others string) {
	l.losing++
	l.cause = strings.ReplaceAll(err.Error(), l.key, "")
	if w.spokesmen.of(l) != l || !w.policy.loud(l.losing) {
		return slog.LevelDebug, ""
	}
	n := 0
	for other := range w.standing.open {
		if other != l && other.losing > 0 {
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
