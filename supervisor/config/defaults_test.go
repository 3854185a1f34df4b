package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

func TestStateDir(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		root bool
		want string
	}{
		"systemd":          {map[string]string{"STATE_DIRECTORY": "/var/lib/tk", "HOME": "/h"}, true, "/var/lib/tk"},
		"systemd, several": {map[string]string{"STATE_DIRECTORY": "/var/lib/tk:/var/lib/x"}, false, "/var/lib/tk"},
		"root":             {map[string]string{"HOME": "/root"}, true, "/var/lib/tokenkeeper"},
		"a user":           {map[string]string{"HOME": "/home/u"}, false, "/home/u/.local/state/tokenkeeper"},
		"XDG":              {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "/s"}, false, "/s/tokenkeeper"},
		"XDG, relative":    {map[string]string{"HOME": "/home/u", "XDG_STATE_HOME": "s"}, false, "/home/u/.local/state/tokenkeeper"},
		"nothing":          {nil, false, ""},
	} {
		if got := stateDir(tt.env, tt.root); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestPluginsDir(t *testing.T) {
	dir := t.TempDir()
	load := func() string {
		t.Helper()
		cfg, _, err := Load(Source{Sinks: TestSinks, Bytes: []byte("accounts:\n  a: {provider: p}\n"), Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Plugins.Dir
	}
	if got := load(); got != "/usr/local/lib/tokenkeeper/plugins" {
		t.Errorf("without a folder beside the configuration: %q", got)
	}
	beside := filepath.Join(dir, "plugins")
	if err := os.Mkdir(beside, 0o700); err != nil {
		t.Fatal(err)
	}
	if got := load(); got != beside {
		t.Errorf("with one: %q", got)
	}
}

func TestDefaultJitter(t *testing.T) {
	for r, want := range map[Refresh]time.Duration{
		{}:                               10 * time.Second,
		{BeforeExpiry: 5 * time.Minute}:  10 * time.Second,
		{BeforeExpiry: 20 * time.Second}: 2 * time.Second,
		{BeforeExpiry: 20 * time.Second, Every: 1 * time.Second}: 100 * time.Millisecond,
	} {
		if got := defaultJitter(r); got != want {
			t.Errorf("%+v: %v, want %v", r, got, want)
		}
	}
}

// TestFormats: this package may not import format, but must know its names.
func TestFormats(t *testing.T) {
	if got, want := formats(), format.Names(); !slices.Equal(got, want) {
		t.Errorf("formats are %q, want %q", got, want)
	}
	want := append(append(format.Names(), format.OneWay()...), format.TemplateName)
	for _, name := range want {
		json := strings.HasPrefix(format.ContentType(name), "application/json")
		if slices.Contains(jsonFormats(), name) != json {
			t.Errorf("format %s is JSON: %t; here it is thought not to be so", name, json)
		}
	}
	if got := sinkFormats(); !slices.Equal(got, want) {
		t.Errorf("formats of sinks are %q, want %q", got, want)
	}
}

// TestKeysOfSinksHaveOneKind: sinkSchema.any relies on it.
func TestKeysOfSinksHaveOneKind(t *testing.T) {
	all := newSinkSchema(TestSinks)
	for typ, fields := range all.own {
		for key, f := range fields {
			if any := all.any()[key]; any.Holds != f.Holds {
				t.Errorf("%s of a %q sink has another kind than elsewhere", key, typ.Name())
			}
		}
	}
}
