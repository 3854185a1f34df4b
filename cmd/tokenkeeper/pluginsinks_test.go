package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
)

func TestPluginsNamesTheProgramsOfSinks(t *testing.T) {
	skipUnlessRaced(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	w := newWorld(t, oneSchwab+"sinks:\n"+
		"  one: {type: checked, settings: {address: x}, command: ["+exe+", "+sinkForTests+"]}\n"+
		"  two: {type: checked, settings: {address: y}, command: ["+exe+", "+sinkForTests+"]}\n")
	broken := filepath.Join(w.plugins, "tokenkeeper-sink-broken")
	if err := filestest.WriteProgram(broken, []byte("#!/bin/sh\necho hello\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	var sinks []plugin
	for _, p := range decode[foundPlugins](t, command(t, "", "plugins", "--json", "-c", w.config).stdout).Plugins {
		if p.Kind == kindSink {
			sinks = append(sinks, p)
		} else if p.Kind != kindProvider {
			t.Errorf("got %+v", p)
		}
	}
	if len(sinks) != 2 {
		t.Fatalf("got %+v", sinks)
	}
	if p := sinks[0]; p.Name != "broken" || p.Source != "plugin directory" || p.Error == "" || len(p.SHA256) != 64 || p.Command[0] != broken {
		t.Errorf("got %+v", p)
	}
	if p := sinks[1]; p.Name != "checked" || p.Source != "configuration" || p.Error != "" || p.Version != "1.2" || p.Protocol != 1 || p.Restore {
		t.Errorf("got %+v", p)
	}
	text := command(t, "", "plugins", "-c", w.config).stdout
	if !strings.Contains(text, "\nSINK TYPE  ") || !strings.Contains(text, "\nchecked    1.2 ") || strings.Contains(text, "app-secret-value") {
		t.Errorf("got\n%s", text)
	}
}
