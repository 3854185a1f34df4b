package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnknownZoneIsRefused(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "zone")
	write(t, garbage, "no zone")
	for tz, good := range map[string]bool{
		"": true, "UTC": true, ":UTC": true, "Europe/Copenhagen": true, ":America/New_York": true,
		"Mars/Base": false, "CET-1CEST,M3.5.0,M10.5.0/3": false, "/nowhere/zone": false, garbage: false, "../../etc/passwd": false,
	} {
		err := checkZone(tz)
		if (err == nil) != good {
			t.Errorf("TZ=%q: %v", tz, err)
		}
		if err != nil && !strings.Contains(err.Error(), "Europe/Copenhagen") {
			t.Errorf("TZ=%q: the error does not say what to do: %v", tz, err)
		}
	}
}

// The zone of a process is decided before main: this needs a process.
func TestUnknownZoneStopsTheStart(t *testing.T) {
	if os.Getenv("TOKENKEEPER_TEST_ZONE") != "" {
		os.Exit(run(t.Context(), []string{"status"}, strings.NewReader(""), os.Stdout, os.Stderr))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestUnknownZoneStopsTheStart$")
	cmd.Env = append(os.Environ(), "TOKENKEEPER_TEST_ZONE=1", "TZ=Mars/Base")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), `tokenkeeper: the environment sets TZ to "Mars/Base"`) {
		t.Errorf("%v: %s", err, out)
	}
}
