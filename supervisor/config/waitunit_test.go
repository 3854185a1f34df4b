package config

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWaitUnit asks systemd about the unit that bots wait for, and about a bot's with the
// lines that the README beside it has for that.
func TestWaitUnit(t *testing.T) {
	folder := filepath.Join(examplesDir, "systemd")
	read := func(name string) string {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	unit := read("tokenkeeper-wait@.service")
	for _, line := range []string{"Type=oneshot", "ExecStart=/usr/local/bin/tokenkeeper wait %i --timeout 5m -c /etc/tokenkeeper/tokenkeeper.yaml", "After=tokenkeeper.service"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
	for _, key := range []string{"StateDirectory=", "RuntimeDirectory=", "User=", "RemainAfterExit="} {
		if strings.Contains(unit, "\n"+key) {
			t.Errorf("%s takes something from the service, or keeps a bot from waiting again", key)
		}
	}
	lines := ""
	for _, block := range regexp.MustCompile("(?ms)^```ini\n(.*?)^```$").FindAllStringSubmatch(read("README.md"), -1) {
		if strings.Contains(block[1], "tokenkeeper-wait@schwab-main.service") {
			lines = block[1]
		}
	}
	if strings.Count(lines, "\n") != 3 {
		t.Errorf("the README's lines: %q", lines)
	}
	for line := range strings.Lines(lines) {
		if !strings.Contains(unit, "\n#   "+line) {
			t.Errorf("the unit does not show %s", line)
		}
	}

	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed: the unit is not verified")
	}
	self, err := os.Executable() // stands in for the binary, which must exist
	if err != nil {
		t.Fatal(err)
	}
	at, paths := t.TempDir(), []string(nil)
	for name, text := range map[string]string{
		"tokenkeeper-wait@.service": unit, "tokenkeeper.service": read("tokenkeeper.service"),
		"bot.service": lines + "[Service]\nExecStart=/usr/local/bin/tokenkeeper\n",
	} {
		path := filepath.Join(at, name)
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "/usr/local/bin/tokenkeeper", self)), 0o644); err != nil {
			t.Fatal(err)
		}
		if name != "tokenkeeper.service" { // by TestUnit
			paths = append(paths, strings.Replace(path, "@.", "@schwab-main.", 1))
		}
	}
	out, err := exec.Command(analyze, append([]string{"verify"}, paths...)...).CombinedOutput()
	// Where systemd is older than that.
	out = regexp.MustCompile(`.*Unknown key (name )?'(RestartSteps|RestartMaxDelaySec)' in section [['"]Service['"\]], ignoring\.\n`).ReplaceAll(out, nil)
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
