package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts"
	"github.com/tokenkeeper/tokenkeeper/supervisor/mounts/mountstest"
)

// What lies on a file system that does not answer is named, and nobody waits for it
// twice: for who checks it is a problem, and for a start what only one sink or account
// needs is a warning.
func TestSilentFileSystem(t *testing.T) {
	gone := mountstest.Silent(t)
	silent := "the file system of " + gone + " has not answered for 100ms (a network drive, perhaps, whose server is gone)"
	load := func(yaml string, strict bool) (all []string) {
		src := source(t, yaml)
		src.StrictFiles, src.Mounts = strict, &mounts.Asker{Patience: 100 * time.Millisecond}
		src.Steers = func(path string, _ []int) error { _, err := os.Lstat(path); return err }
		src.Operands = func([]string, string, bool) map[int][]string { return nil }
		src.LastWhole = func(string, string, string) []byte { t.Error("the note of a shared file was looked for"); return nil }
		_, warnings, err := config.Load(src)
		for _, w := range warnings {
			if strings.Contains(w.Message, gone) {
				all = append(all, "warning: "+w.Key+": "+w.Message)
			}
		}
		if err != nil {
			for line := range strings.SplitSeq(err.Error(), "\n") {
				_, line, _ = strings.Cut(line, ": ")
				all = append(all, line)
			}
		}
		return all
	}
	const problem = "; " + mounts.Remedy
	for name, tt := range map[string]struct {
		yaml          string
		strict, start []string
	}{
		"the state directory": {
			"state_dir: GONE/state\n" + account,
			[]string{"state_dir: " + silent + problem}, []string{"state_dir: " + silent + problem},
		},
		"a secret": {
			"accounts:\n  a: {provider: schwab, client_id: id, client_secret: \"${file:GONE/secret}\"}\n",
			[]string{"accounts.a.client_secret: the secret file " + gone + "/secret can't be read: " + silent + problem},
			[]string{"accounts.a.client_secret: the secret file " + gone + "/secret can't be read: " + silent + problem},
		},
		"a shared file": {
			"accounts:\n  a: {provider: schwab, client_id: id, client_secret: s, shared_file: {path: GONE/t.json, format: schwab}}\n",
			[]string{"accounts.a.shared_file.path: " + silent + problem}, []string{"warning: accounts.a.shared_file.path: " + silent},
		},
		"a sink": {
			account + "sinks:\n  f: {type: file, path: GONE/t.json, include_refresh_token: true}\n",
			[]string{"sinks.f.path: " + silent + problem}, []string{"warning: sinks.f.path: " + silent},
		},
		"a certificate": {
			account + "sinks:\n  h: {type: webhook, url: \"https://h.example\", ca_file: GONE/ca.pem, secret: \"whsec_MTIz\"}\n",
			[]string{"sinks.h.ca_file: " + silent + problem}, []string{"warning: sinks.h.ca_file: " + silent, "sinks.h.ca_file: " + silent + problem},
		},
		"a pidfile": {
			account + "sinks:\n  p: {type: exec, signal: {pidfile: GONE/bot.pid, signal: HUP}}\n",
			[]string{"sinks.p.signal.pidfile: " + silent + problem}, []string{"warning: sinks.p.signal.pidfile: " + silent},
		},
		"what a command is given": {
			account + "sinks:\n  e: {type: exec, command: [/bin/true, --config=GONE/bot.yaml]}\n",
			[]string{"sinks.e.command: " + silent + problem}, []string{"warning: sinks.e.command: " + silent},
		},
		"a plugin's program": {
			account + "providers: {schwab: {command: [GONE/schwab]}}\n",
			[]string{"providers.schwab.command: " + silent + problem}, []string{"providers.schwab.command: " + silent + problem},
		},
	} {
		for strict, want := range map[bool][]string{true: tt.strict, false: tt.start} {
			began := time.Now()
			if got := load(strings.ReplaceAll(tt.yaml, "GONE", gone), strict); !slices.Equal(got, want) {
				t.Errorf("%s, strict %t:\n%s\nwant\n%s", name, strict, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("%s: it took %s", name, took)
			}
		}
	}
	src := config.Source{Path: filepath.Join(gone, "tk.yaml"), Mounts: &mounts.Asker{Patience: 100 * time.Millisecond}}
	if _, _, err := config.Load(src); err == nil || !strings.Contains(err.Error(), "can't be read: "+silent+problem) {
		t.Errorf("of the configuration itself: %v", err)
	}
}
