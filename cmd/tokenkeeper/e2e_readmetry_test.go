package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// typeTrial types the block of configs/README.md that holds a text, line by line, and
// returns how many lines it has and what was shown. before is called when the supervisor
// is about to be stopped.
func (s *site) typeTrial(t *testing.T, holds string, before func()) (lines int, shown string) {
	t.Helper()
	var script string
	for _, block := range fenced(t, filepath.Join(repository, "configs", "README.md"), "sh") {
		if strings.Contains(block, holds) {
			script = block
		}
	}
	var r *running
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(strings.ReplaceAll(line, "~", s.dir))
		args := strings.Fields(line)
		lines++
		switch {
		case args[0] == "export":
			s.env = append(s.env, args[1])
		case args[0] == "tokenkeeper" && args[1] == "run":
			r = startRun(t, s)
		case args[0] == "tokenkeeper":
			got := s.tool(t, "", args[1:]...)
			if shown += got.stdout; got.code != exitOK {
				t.Errorf("%s: %+v", line, got)
			}
		default:
			before()
			r.Stop()
			rest := exec.CommandContext(t.Context(), "sh", "-c", line)
			rest.Dir = s.dir
			if out, err := rest.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	return lines, shown
}

// TestReadmeTriesAConfigurationWithoutABroker does what configs/README.md says, line by
// line: the account and the sink are shown, and the broker hears nothing.
func TestReadmeTriesAConfigurationWithoutABroker(t *testing.T) {
	t.Parallel()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, sim, sim.TokenURL(), "every: 1s")+
		filesYAML)

	lines, shown := s.typeTrial(t, "TOKENKEEPER_STATE_DIR=~/tokenkeeper-try", func() {})
	if lines < 6 || !strings.Contains(shown, "\n"+saxoAccount+"  new ") || !strings.Contains(shown, "\nfiles  file ") {
		t.Errorf("%d lines were done, and showed\n%s", lines, shown)
	}
	if _, err := os.Stat(s.path(saxoAccount + ".json")); err == nil {
		t.Error("the sink got something")
	}
	if n := sim.Stats().Total; n.Posts != 0 {
		t.Errorf("the broker was asked: %+v", n)
	}
}

// TestReadmeTriesASimulatedBroker does what configs/README.md says: an account whose
// client and redirect_url are its real broker's is refreshed at the simulator.
func TestReadmeTriesASimulatedBroker(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	const begin = "go run ./sdk/brokersim/simulate "
	s := newSite(t, "accounts:\n  saxo-live: {provider: saxo, client_id: real, client_secret: real, redirect_url: \"https://bots.example/callback\"}\n"+filesYAML)
	program := s.path("simulate")
	if err := goBuild(filepath.Join(repository, "sdk", "brokersim", "simulate"), program); err != nil {
		t.Fatal(err)
	}
	var args []string
	for _, block := range fenced(t, filepath.Join(repository, "configs", "README.md"), "sh") {
		if line, found := strings.CutPrefix(block, begin); found {
			args = strings.Fields(line)
		}
	}
	simulator, said := exec.CommandContext(t.Context(), program, args...), newAwaited()
	simulator.Dir, simulator.Stdout, simulator.Stderr = s.dir, said, said
	if err := simulator.Start(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "what the simulator prints", func() bool { return strings.Count(said.String(), "\n") == 5 })
	for line := range strings.Lines(said.String()) {
		s.env = append(s.env, strings.TrimSpace(strings.TrimPrefix(line, "export ")))
	}
	lines, shown := s.typeTrial(t, "TOKENKEEPER_STATE_DIR=~/tokenkeeper-sim", func() {
		if got := s.tool(t, "", "refresh", "saxo-live", "--force"); got.code != exitOK {
			t.Errorf("the refresh: %+v", got)
		}
	})
	if lines < 5 || !strings.Contains(shown, "saxo-live: imported as v1") || !strings.Contains(shown, "\nsaxo-live  valid ") {
		t.Errorf("%d lines were done, and showed\n%s", lines, shown)
	}
	if _, err := os.Stat(s.path("saxo-live.json")); err != nil {
		t.Error("the sink got nothing")
	}
	if err := simulator.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := simulator.Wait(); err != nil {
		t.Errorf("the simulator ended with %v", err)
	}
}
