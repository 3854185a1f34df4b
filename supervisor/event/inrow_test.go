package event_test

import (
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestInRow(t *testing.T) {
	for _, c := range []struct {
		failures, most int
		want           string
	}{
		{1, 5, "once, alert from the 5th"},
		{17, 5, "17 in a row, alert from the 5th"},
		{2, 1, "2 in a row, alert from the 1st"},
		{2, 3, "2 in a row, alert from the 3rd"},
		{2, 12, "2 in a row, alert from the 12th"},
		{2, 22, "2 in a row, alert from the 22nd"},
		{2, 111, "2 in a row, alert from the 111th"},
	} {
		if got := event.InRow(c.failures, c.most); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.failures, c.most, got, c.want)
		}
	}
}
