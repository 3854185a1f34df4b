package control

import (
	"net/http"
	"time"
)

// This file answers the calls about sinks and alerts.

func (s *Server) sinks(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Sinks(r.Context())
}

func (s *Server) alerts(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Alerts(r.Context())
}

func (s *Server) acknowledgeAlert(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.AcknowledgeAlert(r.Context(), r.PathValue("alert"))
}

func (s *Server) silenceAlert(_ http.ResponseWriter, r *http.Request) (any, error) {
	during, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil || during <= 0 {
		return nil, Errorf(CodeBadRequest, "for how long? Give ?for= a duration, like 90s, 30m or 2h")
	}
	return s.backend.SilenceAlert(r.Context(), r.PathValue("alert"), during)
}

func (s *Server) resumeAlert(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.ResumeAlert(r.Context(), r.PathValue("alert"))
}

func (s *Server) testSink(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.TestSink(r.Context(), r.PathValue("sink"))
}

func (s *Server) redeliver(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Redeliver(r.Context(), r.PathValue("sink"), r.URL.Query().Get("account"), r.URL.Query().Get("force") == "true")
}

func (s *Server) disableSink(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.DisableSink(r.Context(), r.PathValue("sink"))
}

func (s *Server) enableSink(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.EnableSink(r.Context(), r.PathValue("sink"))
}

func (s *Server) restartSink(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.RestartSink(r.Context(), r.PathValue("sink"))
}
