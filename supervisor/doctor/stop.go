package doctor

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// StopTooShort says of a service that has less time to end than it may need what that
// means, and the line to write.
func StopTooShort(service string, has, needs time.Duration) (message, remedy string) {
	return fmt.Sprintf("%s has TimeoutStopSec=%d, and an answer may take longer by the configuration (refresh.timeout): one on its way when the service crashes would be cut off, and its login lost",
			service, int(has.Seconds())),
		fmt.Sprintf("write TimeoutStopSec=%d below [Service] by: systemctl edit %s", int(math.Ceil(needs.Seconds())), strings.TrimSuffix(service, ".service"))
}

// Span is a time as systemd shows it ("1min 30s"); known is false of one without an end,
// and of what is none.
func Span(text string) (span time.Duration, known bool) {
	units := map[string]time.Duration{
		"y": 31557600 * time.Second, "month": 2629800 * time.Second, "w": 7 * 24 * time.Hour, "d": 24 * time.Hour, "h": time.Hour, "min": time.Minute,
		"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond,
	}
	for part := range strings.FieldsSeq(text) {
		end := strings.TrimLeft(part, "0123456789.")
		number, err := strconv.ParseFloat(strings.TrimSuffix(part, end), 64)
		unit, ok := units[end]
		if err != nil || !ok {
			return 0, false
		}
		span += time.Duration(number * float64(unit))
		known = true
	}
	return span, known
}
