package store

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
)

var release = flag.Bool("release", false, "write the golden files of a format version that has none yet")

// TestRelease writes the golden files of a new format version, once.
func TestRelease(t *testing.T) {
	if !*release {
		t.Skip("only when a format version is released: go test -run TestRelease -release")
	}
	place := filepath.Join("testdata", formatVersion)
	if err := os.Mkdir(place, 0o755); err != nil {
		t.Fatalf("a released layout is never written again: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "state")
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for version := uint64(1); version <= golden().Version; version++ {
		r := golden()
		r.Version = version
		if err := s.Commit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	err = errors.Join(s.Intend(t.Context(), goldenIntent()), s.SaveOwner(t.Context(), goldenOwner()), s.SaveAlert(t.Context(), goldenAlert()),
		s.MarkDelivered(t.Context(), goldenDelivery()), s.MarkTried(t.Context(), goldenTried()), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	record, err := seal(golden())
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	err = errors.Join(json.Indent(&indented, record, "", "  "),
		writeGzip(filepath.Join(place, FileName+".gz"), file),
		os.WriteFile(filepath.Join(place, "record.json"), append(indented.Bytes(), '\n'), 0o644))
	if err != nil {
		t.Fatal(err)
	}
}

func writeGzip(path string, b []byte) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = z.Write(b)
	return errors.Join(err, z.Close(), os.WriteFile(path, buf.Bytes(), 0o644))
}

func readGzip(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compact(t testing.TB, b []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := json.Compact(&buf, b); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
