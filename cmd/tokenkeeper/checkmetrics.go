package main

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/metrics"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// soonEnded is how long before its end a certificate is warned of.
const soonEnded = 14 * 24 * time.Hour

// addMetrics says what keeps monitoring systems from asking over TCP; nil: none is to.
func (r *report) addMetrics(cfg *config.Metrics, state stateDir, now time.Time) {
	if cfg == nil {
		return
	}
	ends := metrics.CertificateExpiry(*cfg)
	certificate := config.Problem{File: r.Config, Line: r.where().of("metrics", "tls", "cert_file"), Key: "metrics.tls.cert_file", Hint: "renew it; it is read again without a restart"}
	switch left := ends.Sub(now); {
	case ends.IsZero():
	case left <= 0:
		certificate.Message = "the certificate has ended " + moment.Stamp(ends)
		r.add(certificate)
	case left < soonEnded:
		certificate.Message = fmt.Sprintf("the certificate ends %s, in %s", moment.Stamp(ends), moment.Span(left))
		r.Warnings = append(r.Warnings, finding(certificate))
	}
	if s := state.answered; s != nil && s.Metrics != nil && s.Metrics.Listen == cfg.Listen { // it is ours
		return
	}
	if err := metrics.Try(*cfg); err != nil {
		p := config.Problem{File: r.Config, Line: r.where().of("metrics", "listen"), Key: "metrics.listen", Message: err.Error()}
		if state.silent {
			p.Hint = "unless it is the supervisor that runs here already, and does not answer"
			r.Warnings = append(r.Warnings, finding(p))
			return
		}
		r.add(p)
	}
}
