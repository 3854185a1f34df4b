package brokersim

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"
)

// Answer is an HTTP answer.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte

	fields map[string]any // of a JSON object, for shaping
	pad    int64          // length of the one endless member sent instead of Body; 0: Body
	cut    int            // connection ends after cut-1 bytes of the body; 0: never
	drip   time.Duration  // between bytes
}

// jsonAnswer is an answer as RFC 6749, section 5.1, wants it: JSON, not to be
// stored.
func jsonAnswer(status int, fields map[string]any) Answer {
	a := Answer{Status: status, Header: http.Header{}, fields: fields}
	a.Header.Set("Content-Type", "application/json;charset=UTF-8")
	a.Header.Set("Cache-Control", "no-store")
	a.Header.Set("Pragma", "no-cache")
	a.encode()
	return a
}

func (a *Answer) encode() {
	body, err := json.Marshal(a.fields)
	if err != nil {
		panic("brokersim: a fault put something into the answer that JSON can't hold: " + err.Error())
	}
	a.Body = body
}

// compress puts the body into a content coding.
func (a *Answer) compress(coding string, quiet bool) {
	var b bytes.Buffer
	var w io.WriteCloser
	switch coding {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "deflate":
		w = zlib.NewWriter(&b)
	case "raw-deflate":
		coding = "deflate"
		w, _ = flate.NewWriter(&b, flate.DefaultCompression)
	default:
		panic("brokersim: no such content coding: " + coding)
	}
	// Writing into memory does not fail.
	_, _ = w.Write(a.Body)
	_ = w.Close()
	a.Body = b.Bytes()
	if !quiet {
		a.Header = a.Header.Clone()
		a.Header.Set("Content-Encoding", coding)
	}
}

// write sends the whole answer at once.
func (a Answer) write(w http.ResponseWriter, complete func()) error {
	complete()
	a.writeHead(w, int64(len(a.Body)))
	if _, err := w.Write(a.Body); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func (a Answer) writeHead(w http.ResponseWriter, length int64) {
	maps.Copy(w.Header(), a.Header)
	w.Header().Set("Content-Length", strconv.FormatInt(length, 10))
	w.WriteHeader(a.Status)
}

// answer sends a, shaped as it is, and closes the request's last window if the
// client is still there to read it.
func (s *Server) answer(ex *exchange, w http.ResponseWriter, r *http.Request, a Answer) {
	if r.Context().Err() != nil {
		abort()
	}
	// The client may act on the last byte before this goroutine runs again, so
	// the answer counts as given just before that byte leaves.
	var err error
	window := ex.window
	complete := func() { s.answered(ex) }
	switch {
	case a.cut > 0:
		a.writeHead(w, int64(len(a.Body)))
		w.Write(a.Body[:min(a.cut-1, len(a.Body))])
		http.NewResponseController(w).Flush()
		abort()
	case a.pad > 0:
		err = a.writePadded(w, complete)
	case a.drip > 0 && len(a.Body) > 0:
		err = s.writeSlowly(a, w, r, complete)
	default:
		err = a.write(w, complete)
	}
	if err != nil {
		s.unanswered(ex, window)
		abort()
	}
}

// writePadded sends a JSON object with one endless member. It is made while it
// is sent, so that a huge body costs the simulator nothing.
func (a Answer) writePadded(w http.ResponseWriter, complete func()) error {
	const head, tail = `{"access_token":"`, `"}`
	a.writeHead(w, int64(len(head)+len(tail))+a.pad)
	if _, err := io.WriteString(w, head); err != nil {
		return err
	}
	if _, err := io.Copy(w, io.LimitReader(letters{}, a.pad)); err != nil {
		return err
	}
	complete()
	if _, err := io.WriteString(w, tail); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

// writeSlowly sends one byte at a time. It ends early when the client goes or
// the server closes.
func (s *Server) writeSlowly(a Answer, w http.ResponseWriter, r *http.Request, complete func()) error {
	a.writeHead(w, int64(len(a.Body)))
	flush := http.NewResponseController(w)
	for i := range a.Body {
		if i == len(a.Body)-1 {
			complete()
		}
		if _, err := w.Write(a.Body[i : i+1]); err != nil {
			return err
		}
		if err := flush.Flush(); err != nil {
			return err
		}
		if i < len(a.Body)-1 && !s.pause(a.drip, r.Context().Done()) {
			return http.ErrAbortHandler
		}
	}
	return nil
}

// pause waits for d; false: gone or the server's end came first.
func (s *site) pause(d time.Duration, gone <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-gone:
		return false
	case <-s.closed:
		return false
	}
}
