package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
)

// TestReadmeTriesAConfigurationWithoutABroker does what configs/README.md says, line by
// line: the account and the sink are shown, and the broker hears nothing.
func TestReadmeTriesAConfigurationWithoutABroker(t *testing.T) {
	t.Parallel()
	sim := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo})
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, sim, sim.TokenURL(), "every: 1s")+
		filesYAML)

	var script string
	for _, block := range fenced(t, filepath.Join(repository, "configs", "README.md"), "sh") {
		if strings.Contains(block, "TOKENKEEPER_STATE_DIR") {
			script = block
		}
	}
	var r *running
	lines, shown := 0, ""
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
			r.Stop()
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
		}
	}
	if lines < 6 || r == nil || !strings.Contains(shown, "\n"+saxoAccount+"  new ") || !strings.Contains(shown, "\nfiles  file ") {
		t.Errorf("%d lines were done, and showed\n%s", lines, shown)
	}
	if _, err := os.Stat(s.path(saxoAccount + ".json")); err == nil {
		t.Error("the sink got something")
	}
	if n := sim.Stats().Total; n.Posts != 0 {
		t.Errorf("the broker was asked: %+v", n)
	}
}
