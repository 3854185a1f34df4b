package sink

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// byReceiver is who disabled a sink whose receiver said that it is gone.
const byReceiver = "the receiver"

// disabled says who disabled the sink, and since when.
type disabled struct {
	by string // "": it is enabled
	at time.Time
}

func (d disabled) is() bool { return d.by != "" }

// off tells that a person has disabled the sink.
func (d disabled) off(sink string) note {
	return note{slog.LevelWarn, event.Event{
		Type:    event.SinkDisabled,
		Message: fmt.Sprintf("sink %q was disabled by %s; nothing goes there until it is enabled again with: tokenkeeper sinks enable %s", sink, d.by, sink),
	}}
}

// gone tells that the receiver wants nothing more.
func (d disabled) gone(sink string, attempts int, err error) note {
	return note{slog.LevelError, event.Event{
		Type: event.SinkDisabled, Max: attempts,
		Message: fmt.Sprintf("sink %q is disabled: %v; nothing more goes there until tokenkeeper is restarted or it is enabled with: tokenkeeper sinks enable %s", sink, err, sink),
	}}
}

// over tells that it is enabled again.
func (d disabled) over(sink string) note {
	return note{slog.LevelInfo, event.Event{
		Type:    event.Recovered,
		Message: fmt.Sprintf("sink %q is enabled again and gets what it missed; %s had disabled it", sink, d.by),
	}}
}
