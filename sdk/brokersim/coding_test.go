package brokersim

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"
)

// A compressed answer says so or not, and holds what the plain one would.
func TestCompressed(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		for coding, open := range map[string]func(io.Reader) (io.Reader, error){
			"gzip":        func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			"deflate":     func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) },
			"raw-deflate": func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
		} {
			a := jsonAnswer(200, map[string]any{"refresh_token": "next"})
			shaped := (&Fault{Coding: coding, Quiet: quiet}).shape(a)
			r, err := open(bytes.NewReader(shaped.Body))
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, a.Body) {
				t.Errorf("%s: %q, %v", coding, b, err)
			}
			want := strings.TrimPrefix(coding, "raw-")
			if quiet {
				want = ""
			}
			if got := shaped.Header.Get("Content-Encoding"); got != want || a.Header.Get("Content-Encoding") != "" {
				t.Errorf("%s: the head says %q, want %q", coding, got, want)
			}
		}
	}
}
