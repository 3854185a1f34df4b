package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// TestLogLedToOurOutput: images lead a log's file to what the container writes, by a
// link, and programs name that by its number as well.
func TestLogLedToOurOutput(t *testing.T) {
	if to := os.Getenv("LOG_TO"); to != "" {
		cfg := config.Log{Level: "info", Format: "text", File: to}
		if err := logRefusal(cfg); err != nil {
			t.Errorf("check: %v", err)
		}
		f, err := openLog(cfg)
		if err != nil {
			t.Fatalf("run: %v", err)
		}
		_, _ = f.Write([]byte("a line\n"))
		return
	}
	dir := t.TempDir()
	link := filepath.Join(dir, "log")
	if err := os.Symlink("/dev/stdout", link); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"/dev/stdout", link, "/dev/fd/1", "/proc/self/fd/1", "/proc/self/fd/2"} {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLogLedToOurOutput$")
		cmd.Env = append(os.Environ(), "LOG_TO="+to)
		if said, err := cmd.CombinedOutput(); err != nil { // by a pipe
			t.Errorf("%s: %v\n%s", to, err, said)
		}
	}
}
