package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/heartbeat"
)

func TestStatusTellsOfTheHeartbeat(t *testing.T) {
	for want, h := range map[string]heartbeat.Status{
		"heartbeat to hc-ping.com every 5m, none sent yet":                                                             {State: heartbeat.Waiting},
		"heartbeat to hc-ping.com every 5m, the last 40s ago":                                                          {State: heartbeat.Beating, LastPing: now.Add(-40 * time.Second)},
		"no heartbeat to hc-ping.com: schwab-two needs login":                                                          {State: heartbeat.Held, HeldBack: "schwab-two needs login"},
		"no heartbeat to hc-ping.com, which was told so: schwab-two needs login":                                       {State: heartbeat.Held, HeldBack: "schwab-two needs login", FailureTold: true},
		"the heartbeat to hc-ping.com fails, 3 times in a row: the receiver did not answer in time (at most 10s)":      {State: heartbeat.Failing, Failures: 3, LastError: "the receiver did not answer in time (at most 10s)"},
		"the heartbeat to hc-ping.com fails, 1 time in a row: the service answered 404 Not Found: check heartbeat.url": {State: heartbeat.Failing, Failures: 1, LastError: "the service answered 404 Not Found: check heartbeat.url"},
	} {
		s := sampleStatus()
		h.To, h.Every = "hc-ping.com", 5*time.Minute
		s.Heartbeat = &h
		got := renderStatus(s, now, painter{}, narrow)
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
}
