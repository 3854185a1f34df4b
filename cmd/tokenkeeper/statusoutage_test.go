package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// The outage budget is shown of one account, and of several where it is short; a status
// that differs in nothing but that is not printed again.
func TestStatusTellsOfTheOutageBudget(t *testing.T) {
	s := sampleStatus()
	s.Accounts[0].Outage = &control.Outage{Left: 80 * time.Second, Sink: "bot", Planned: 5 * time.Minute, Worst: 80 * time.Second, Short: true}
	s.Accounts[1].Outage = &control.Outage{Left: 20 * time.Minute, Worst: 19 * time.Minute}
	const short, enough = "outage budget 80s (sink bot), in the last day at least 80s, as planned at least 5m", "outage budget 20m, in the last day at least 19m"
	shown := func(s control.Status) string {
		return strings.Join(strings.Fields(renderStatus(s, now, painter{}, narrow)), " ")
	}
	if got := shown(s); !strings.Contains(got, short) || strings.Contains(got, enough) {
		t.Errorf("of several accounts:\n%s", got)
	}
	one := s
	one.Accounts = s.Accounts[1:2]
	if got := shown(one); !strings.Contains(got, enough) {
		t.Errorf("of one account:\n%s", got)
	}
	if got := steady(s); got.Accounts[0].Outage.Left != 0 || !got.Accounts[0].Outage.Short || s.Accounts[0].Outage.Left == 0 {
		t.Errorf("%+v of %+v", got.Accounts[0].Outage, s.Accounts[0].Outage)
	}
}

func TestStatusTellsOfACertificate(t *testing.T) {
	s := sampleStatus()
	s.Metrics = &control.MetricsListener{TLS: true, CertificateProblem: "metrics.tls.cert_file and metrics.tls.key_file can't be used: no PEM"}
	if got := renderStatus(s, now, painter{}, narrow); !strings.Contains(strings.Join(strings.Fields(got), " "), s.Metrics.CertificateProblem) {
		t.Errorf("it is not told:\n%s", got)
	}
}
