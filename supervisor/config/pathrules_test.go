package config

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEveryPathHasARule: each key that names a file or a program is on this list,
// with whether it steers us, which is asked as the configuration is read, or with
// who else asks about it and when.
func TestEveryPathHasARule(t *testing.T) {
	const steers, data = "steers", "asked by supervisor.Obstacles, and each time it is used"
	rules := map[string]string{
		"state_dir":                   "private, asked by the store and by check",
		"fallback_dir":                steers,
		"control.socket":              "asked by supervisor.ControlExposed, and as it is opened",
		"log.file":                    "asked by the command as it is opened, and by check",
		"plugins.dir":                 steers,
		"providers.*.command":         steers,
		"accounts.*.shared_file.path": data,
		"accounts.*.shared_file.lock": data,
		"heartbeat.ca_file":           steers,
		"metrics.tls.cert_file":       steers,
		"metrics.tls.key_file":        steers,
		"sinks.*.path":                data,
		"sinks.*.command":             steers,
		"sinks.*.ca_file":             steers,
		"sinks.*.cert_file":           steers,
		"sinks.*.key_file":            steers,
		"sinks.*.signal.pidfile":      data,
	}
	paths := map[string]bool{}
	var visit func(key string, f Field)
	visit = func(key string, f Field) {
		if f.Holds == Path || strings.HasSuffix(key, ".command") {
			paths[strings.TrimPrefix(key, ".")] = true
		}
		for name, of := range f.Fields {
			visit(key+"."+name, of)
		}
		if f.Holds == named {
			visit(key+".*", *f.Each)
		}
	}
	visit("", schema(newSinkSchema(TestSinks)))
	for _, key := range slices.Sorted(maps.Keys(paths)) {
		if rules[key] == "" {
			t.Errorf("%s names a file: who could have put it there?", key)
		}
	}

	dir := t.TempDir()
	asked := map[string]bool{}
	_, _, err := Load(Source{Sinks: TestSinks, Name: "x.yaml", Dir: dir, Bytes: []byte(`fallback_dir: fallback
plugins: {dir: .}
providers: {p: {command: [./provider, /provider.py]}}
accounts: {a: {provider: p, client_id: "${file:secret}"}}
heartbeat: {url: "https://example.com", ca_file: beat}
metrics: {listen: "127.0.0.1:9464", tls: {cert_file: shown, key_file: private}}
sinks:
  run: {type: exec, command: [./hook, /hook.py]}
  own: {type: mine, command: [./sink, /sink.py]}
  hook: {type: webhook, url: "https://example.com", ca_file: ca, cert_file: cert, key_file: key}
`),
		Environ: func() []string { return []string{"STATE_DIRECTORY=/s"} },
		Steers:  func(path string, _ []int) error { asked[path] = true; return nil },
		Operands: func(command []string, _ string, onlyRun bool) map[int][]string {
			if isHook := strings.HasSuffix(command[0], "/hook"); isHook != onlyRun {
				t.Errorf("%v, onlyRun %t", command, onlyRun)
			}
			return map[int][]string{1: {command[1]}}
		},
	})
	if err == nil || !strings.Contains(err.Error(), "client_id") {
		t.Errorf("the secret is there: %v", err)
	}
	for _, name := range []string{"fallback", "", "provider", "secret", "hook", "sink", "ca", "cert", "key", "beat", "shown", "private"} {
		if !asked[filepath.Join(dir, name)] {
			t.Errorf("%q was not asked about: %v", name, slices.Sorted(maps.Keys(asked)))
		}
	}
	for _, script := range []string{"/provider.py", "/hook.py", "/sink.py"} {
		if !asked[script] {
			t.Errorf("%s was not asked about", script)
		}
	}
}
