package main

import (
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// observedText heads the status of a supervisor that only observes.
const observedText = "observing: nothing is sent to a broker, delivered or written, and nobody keeps the tokens; to keep them, start it without --observe"

// wouldNotes say what would be done next about an account that is only observed.
func wouldNotes(a control.Account, now time.Time) []cell {
	text := ""
	switch a.Would {
	case "":
		return nil
	case refresh.WouldWait:
		text = "nothing would be sent before that is over"
	case refresh.WouldSettle:
		text = "an attempt is open: its provider's spool would be asked what became of it"
	case refresh.WouldNothing:
		text = "nothing would be sent"
	default:
		text = "a " + a.Would + " would be sent: " + next(a.Due, now)
	}
	if a.WouldFirst != "" {
		return []cell{{a.WouldFirst, yellow}, {text, plain}}
	}
	return []cell{{text, plain}}
}
