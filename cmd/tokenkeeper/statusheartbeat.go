package main

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// heartbeatCell is how the sign of life does that a service elsewhere waits for.
func heartbeatCell(h heartbeat.Status, now time.Time) cell {
	switch h.State {
	case heartbeat.Failing:
		return cell{fmt.Sprintf("the heartbeat to %s fails, %s in a row: %s", h.To, counted(h.Failures, "time", "times"), h.LastError), red}
	case heartbeat.Held:
		told := ""
		if h.FailureTold {
			told = ", which was told so"
		}
		return cell{fmt.Sprintf("no heartbeat to %s%s: %s", h.To, told, h.HeldBack), yellow}
	case heartbeat.Beating:
		return cell{fmt.Sprintf("heartbeat to %s every %s, the last %s", h.To, moment.Span(h.Every), moment.Relative(h.LastPing, now)), dim}
	}
	return cell{fmt.Sprintf("heartbeat to %s every %s, none sent yet", h.To, moment.Span(h.Every)), dim}
}
