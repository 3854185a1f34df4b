package file_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/file"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
)

// inJSON is a sink of one file in format json.
func inJSON(t *testing.T) (*file.Sink, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.json")
	content := config.Content{Format: format.JSON}
	cfg := file.Config{Path: path, Decode: sink.Decoder(content)}
	var err error
	if cfg.Encode, err = sink.Encoder(content, 0); err != nil {
		t.Fatal(err)
	}
	if cfg.Keep, err = sink.Keeper(content); err != nil {
		t.Fatal(err)
	}
	return newSink(t, cfg), path
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
}

// A program that writes its file in place leaves it empty or cut off for a moment. Who is
// about to spend or write a token waits for what comes; a look does not.
func TestAWriterInPlaceIsWaitedFor(t *testing.T) {
	for _, moment := range []string{"", "{\"refresh_token\":\"R"} {
		synctest.Test(t, func(t *testing.T) {
			s, path := inJSON(t)
			put(t, path, moment)
			q := readback.Question{Account: "a", Provider: "broker"}
			q.Lightly = true
			began := time.Now()
			if _, err := s.Holds(t.Context(), q); err == nil || time.Since(began) > 0 {
				t.Errorf("a look after %s: %v", time.Since(began), err)
			}
			q.Lightly = false
			if _, err := s.Holds(t.Context(), q); err == nil {
				t.Error("nothing comes, and something is there")
			}
			ended, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := s.Holds(ended, q); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("nobody has waited, and it is said what is there: %v", err)
			}
			cancel()
			time.AfterFunc(300*time.Millisecond, func() { put(t, path, `{"refresh_token":"R3"}`) })
			held, err := s.Holds(t.Context(), q)
			if err != nil || held.Document.RefreshToken.Reveal() != "R3" {
				t.Errorf("%+v, %v", held, err)
			}
		})
	}
}

// One that has been so for long is nobody's who writes now.
func TestAnOldEmptyFileIsNotWaitedFor(t *testing.T) {
	s, path := inJSON(t)
	put(t, path, "")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := s.Holds(t.Context(), readback.Question{Account: "a", Provider: "broker"}); !errors.Is(err, sdk.ErrNothingStored) || time.Since(began) > 150*time.Millisecond {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

// What is cut off or damaged may be the rest of the only copy of a token, and is kept
// before anything is written over it. What tells nothing of a token is not.
func TestTheRestIsKeptBeside(t *testing.T) {
	for content, kept := range map[string]bool{
		`{"refresh_token":"R3"`: true, "\x01\x02": true,
		"": false, " \n": false, "\x00\x00": false, `{"note":"theirs"}`: false, `{"refresh_token":"R3"}`: false,
	} {
		s, path := inJSON(t)
		put(t, path, content)
		d := format.Document{Account: "a", AccessToken: sdk.NewSecret("A4"), RefreshToken: sdk.NewSecret("R4"), Expiry: time.Now().Add(time.Hour)}
		if err := s.Deliver(t.Context(), sink.Delivery{Document: d}); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path + ".damaged")
		if (err == nil) != kept || kept && string(b) != content {
			t.Errorf("%q: kept %q, %v", content, b, err)
		}
		if held, err := s.Holds(t.Context(), readback.Question{Account: "a", Provider: "broker"}); err != nil || held.Document.RefreshToken.Reveal() != "R4" {
			t.Errorf("%q: it holds %+v, %v", content, held, err)
		}
	}
}

// What can't be kept is not written over.
func TestTheRestThatCantBeKeptStays(t *testing.T) {
	s, path := inJSON(t)
	const rest = `{"refresh_token":"R3"`
	put(t, path, rest)
	if err := os.Mkdir(path+".damaged.3", 0o700); err != nil {
		t.Fatal(err)
	}
	put(t, path+".damaged.2", "another")
	d := format.Document{Account: "a", AccessToken: sdk.NewSecret("A4"), Expiry: time.Now().Add(time.Hour)}
	if err := s.Deliver(t.Context(), sink.Delivery{Document: d}); err == nil {
		t.Error("it was delivered")
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != rest {
		t.Errorf("%q, %v", b, err)
	}
}
