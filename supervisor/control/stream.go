package control

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	// streamBuffer is how many events a reader may be behind before it loses
	// some, which shows as a gap in seq.
	streamBuffer = 256
	// streamTimeout ends the stream of a reader that takes nothing at all.
	streamTimeout = 30 * time.Second
)

// stream sends one JSON event per line until either side ends it. It sends
// nothing while nothing happens.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	audited, err := flag(r, "audit")
	if err != nil {
		writeError(w, asError(err))
		return
	}
	sub, shown, err := s.subscribe(r, audited)
	if err != nil {
		writeError(w, Errorf(CodeForbidden, "%v", err))
		return
	}
	defer sub.Close()

	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	conn := http.NewResponseController(w)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	send := func(write func() error) error {
		if err := conn.SetWriteDeadline(time.Now().Add(streamTimeout)); err != nil {
			return err
		}
		if err := write(); err != nil {
			return err
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		return conn.SetWriteDeadline(time.Time{})
	}
	// The headers go out at once: whoever has them misses no later event.
	if err := send(func() error { w.WriteHeader(http.StatusOK); return nil }); err != nil {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-sub.C:
			if err := send(func() error { return enc.Encode(InUTC(shown(e))) }); err != nil {
				return
			}
		}
	}
}
