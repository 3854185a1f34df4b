package control

import (
	"io"
	"net/http"
	"strings"
	"time"
)

// Health is how the supervisor is, for probes.
type Health struct {
	// Lives: it looks around, and no refresh loop is stuck. What does not live is helped by
	// a restart.
	Lives Probe
	// Ready: every provider has answered or is parked, and no account lacks a valid token
	// for a reason that a person has to mend.
	Ready Probe
}

// Probe is the answer of GET /healthz and GET /readyz.
type Probe struct {
	OK bool `json:"ok"`
	// Reasons are why not, one for each line.
	Reasons []string `json:"reasons"`
}

// NewProbe is good if there are no reasons why not.
func NewProbe(reasons []string) Probe {
	if len(reasons) == 0 {
		reasons = []string{}
	}
	return Probe{OK: len(reasons) == 0, Reasons: reasons}
}

// MetricsListener is where monitoring systems ask over TCP.
type MetricsListener struct {
	// Listen is the address as it is configured.
	Listen string `json:"listen"`
	TLS    bool   `json:"tls"`
	// CertificateExpiry is when the certificate ends; not set: there is none, or it can't
	// be read.
	CertificateExpiry time.Time `json:"certificate_expires_at,omitzero"`
	// CertificateProblem is why the one in the files can't be used, so that the one before
	// is shown, if there was one; "": it can be.
	CertificateProblem string `json:"certificate_problem,omitempty"`
}

// Monitored answers what monitoring systems ask, and nothing else. It changes nothing,
// and says no secret.
func Monitored(b Backend) http.Handler {
	m, mux := monitored{b}, http.NewServeMux()
	mux.HandleFunc("GET /metrics", m.metrics)
	mux.HandleFunc("GET /healthz", m.healthz)
	mux.HandleFunc("GET /readyz", m.readyz)
	return mux
}

type monitored struct{ backend Backend }

func (m monitored) healthz(w http.ResponseWriter, r *http.Request) {
	m.probe(w, r, func(h Health) Probe { return h.Lives })
}

func (m monitored) readyz(w http.ResponseWriter, r *http.Request) {
	m.probe(w, r, func(h Health) Probe { return h.Ready })
}

// probe answers 200 or 503, with the reasons as lines, or as JSON for who asks for that.
func (m monitored) probe(w http.ResponseWriter, r *http.Request, of func(Health) Probe) {
	p, status := of(m.backend.Health(r.Context())), http.StatusOK
	if !p.OK {
		status = http.StatusServiceUnavailable
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, status, p)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	lines := p.Reasons
	if p.OK {
		lines = []string{"ok"}
	}
	_, _ = io.WriteString(w, strings.Join(lines, "\n")+"\n") // the caller may be gone
}
