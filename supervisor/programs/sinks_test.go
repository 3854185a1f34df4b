package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

// configOf loads a configuration of one account with one sink.
func configOf(t *testing.T, dir, yaml string) *config.Config {
	t.Helper()
	text := "state_dir: state\nplugins: {dir: plugins}\naccounts:\n  main: {provider: schwab, client_id: id}\nsinks:\n  s: {" + yaml + "}\n"
	cfg, _, err := config.Load(config.Source{Bytes: []byte(text), Name: "test.yaml", Dir: dir, Sinks: types.Config(), Environ: func() []string { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestSinkCommand(t *testing.T) {
	dir := t.TempDir()
	cfg := configOf(t, dir, "type: other, settings: {a: b}")
	inDir := filepath.Join(dir, "plugins", "tokenkeeper-sink-other")
	if _, err := OfSink(cfg, cfg.Sinks["s"]); err == nil || !strings.Contains(err.Error(), "there is no "+inDir+" and no sinks.s.command") {
		t.Errorf("without a program: %v", err)
	}
	if err := os.MkdirAll(filepath.Dir(inDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(inDir, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if c, err := OfSink(cfg, cfg.Sinks["s"]); err != nil || c.Path != inDir || c.Name != "s" || c.SpoolDir != "" || c.SocketDir != filepath.Join(dir, "state", "sockets") {
		t.Errorf("in the plugin directory: %+v, %v", c, err)
	}
	cfg = configOf(t, dir, "type: other, command: [./mine, -v], sha256: "+strings.Repeat("ab", 32))
	if c, err := OfSink(cfg, cfg.Sinks["s"]); err != nil || c.Path != filepath.Join(dir, "mine") || len(c.Args) != 1 || len(c.SHA256) != 64 {
		t.Errorf("by command: %+v, %v", c, err)
	}
	cfg = configOf(t, dir, "type: file, path: f")
	if _, err := OfSink(cfg, cfg.Sinks["s"]); err == nil {
		t.Error("a built-in sink has a program")
	}
}
