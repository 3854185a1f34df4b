package types_test

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/plugin"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/types"
)

var update = flag.Bool("update", false, "assemble the reference of the configuration anew")

const (
	referenceFile = "../../../configs/reference.yaml"
	// assembled begins what is not written there by hand.
	assembled = "/reference.yaml: go test ./supervisor/sink/types -update\n"
)

// documented are the types that have a part in the reference, by their name.
func documented() (names []string, parts map[string]string, fields map[string]config.Fields) {
	parts, fields = map[string]string{}, map[string]config.Fields{}
	for _, t := range types.BuiltIn() {
		names = append(names, t.Name())
		parts[t.Name()], fields[t.Name()] = t.Reference(), t.Fields()
	}
	parts[""], fields[""] = plugin.Type{}.Reference(), plugin.Type{}.Fields()
	return append(names, ""), parts, fields
}

// TestReferenceIsAssembled: what the reference says of a type is what stands in its
// folder.
func TestReferenceIsAssembled(t *testing.T) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		t.Fatal(err)
	}
	byHand, got, found := strings.Cut(string(data), assembled)
	if !found {
		t.Fatalf("%s does not say what is assembled in it", referenceFile)
	}
	want := ""
	names, parts, _ := documented()
	for _, name := range names {
		want += parts[name]
	}
	switch {
	case got == want:
	case *update:
		if err := os.WriteFile(referenceFile, []byte(byHand+assembled+want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the types say of themselves: go test ./supervisor/sink/types -update", referenceFile)
	}
}

// TestEachTypeTellsOfItsKeys: its part of the reference has them all, and no sink of
// another type.
func TestEachTypeTellsOfItsKeys(t *testing.T) {
	names, parts, fields := documented()
	for _, name := range names {
		var sinks map[string]map[string]any
		if err := yaml.Unmarshal([]byte(parts[name]), &sinks); err != nil || len(sinks) == 0 {
			t.Errorf("%q: %d sinks, %v", name, len(sinks), err)
			continue
		}
		told := map[string]bool{}
		for sink, keys := range sinks {
			if _, builtIn := types.Of(keys["type"].(string)); builtIn && keys["type"] != name {
				t.Errorf("%q tells of %s, which is of another type", name, sink)
			}
			collect(told, "", keys)
		}
		for _, key := range wanted("", fields[name]) {
			if !told[key] && !slices.Contains(config.ContentKeys(), key) {
				t.Errorf("%q does not tell of %s", name, key)
			}
		}
	}
}

func collect(told map[string]bool, prefix string, keys map[string]any) {
	for key, value := range keys {
		told[prefix+key] = true
		if below, ok := value.(map[string]any); ok {
			collect(told, prefix+key+".", below)
		}
	}
}

func wanted(prefix string, fields config.Fields) (all []string) {
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		all = append(all, prefix+key)
		if f := fields[key]; f.Holds == config.Nested {
			all = append(all, wanted(prefix+key+".", f.Fields)...)
		}
	}
	return all
}
