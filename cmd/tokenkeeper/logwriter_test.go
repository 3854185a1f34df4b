package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// stopped is a terminal that was stopped, until it is continued.
type stopped struct {
	open chan struct{}
	text strings.Builder
}

func (s *stopped) Write(p []byte) (int, error) {
	<-s.open
	return s.text.Write(p)
}

func TestLogThatIsStuckHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &stopped{open: make(chan struct{})}
		log, closer, err := newLogger(config.Log{Level: "info", Format: "text"}, to)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range logBacklog + 101 { // one is in the writer's hand
			if n == 1 {
				synctest.Wait()
			}
			log.Info("line", "number", n)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("logging took %s", took)
		}
		close(to.open)
		synctest.Wait()
		log.Info("the last one")
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
		log.Info("later")
		got := to.text.String()
		for _, want := range []string{"number=0\n", "number=1024\n", "100 lines of the log could not be written here and are lost\n", "the last one"} {
			if !strings.Contains(got, want) {
				t.Errorf("the log lacks %q", want)
			}
		}
	})
}

func TestLogThatNeverTakesALineDelaysTheEndBySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &stopped{open: make(chan struct{})}
		log, closer, err := newLogger(config.Log{Level: "info", Format: "json"}, to)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("line")
		began := time.Now()
		_ = closer.Close()
		if took := time.Since(began); took != logFarewell {
			t.Errorf("closing took %s, want %s", took, logFarewell)
		}
		close(to.open) // the bubble must end
	})
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("input/output error") }

// A terminal that has gone does not take the file's lines with it.
func TestLogFileOutlivesTheTerminal(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	log, closer, err := newLogger(config.Log{Level: "info", Format: "text", File: file}, failing{})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("first")
	log.Info("second")
	_ = closer.Close()
	got, err := os.ReadFile(file)
	if err != nil || strings.Count(string(got), "\n") != 2 || !strings.Contains(string(got), "second") {
		t.Errorf("the file holds %q, %v", got, err)
	}
}
