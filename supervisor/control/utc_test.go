package control

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

func TestInUTC(t *testing.T) {
	at := time.Date(2026, 9, 14, 10, 20, 0, 5e8, time.FixedZone("", -4*3600))
	s := Status{
		Now: at, StartedAt: at, Alerts: []event.Alert{{Since: at}}, Accounts: []Account{{Shown: refresh.Shown{Due: at, Candidate: &Candidate{LoginAt: at}}}},
	}
	b, err := json.Marshal(InUTC(map[string]any{"status": s, "none": nil, "sink": &Sink{Disabled: &Disabled{Since: at}}, "zero": time.Time{}}))
	if err != nil || strings.Contains(string(b), "-04:00") || strings.Count(string(b), "2026-09-14T14:20:00.5Z") != 6 {
		t.Errorf("%v\n%s", err, b)
	}
	if s.Now != at || s.Accounts[0].Due != at || s.Accounts[0].Candidate.LoginAt != at {
		t.Error("what was given was changed")
	}
	if InUTC(nil) != nil {
		t.Error("something is made of nothing")
	}
}
