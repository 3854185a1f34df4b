package types_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
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

// listed is where the reference lists the types that are built in.
var listed = regexp.MustCompile(`(    # Needed\. The name of a plugin, or one of\n    # )[a-z, ]*\.\n`)

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
	byHand, _, found := strings.Cut(string(data), assembled)
	if !found || len(listed.FindAllString(byHand, -1)) != 1 {
		t.Fatalf("%s does not say what is assembled in it, or where the types are listed", referenceFile)
	}
	names, parts, _ := documented()
	want := listed.ReplaceAllString(byHand, "${1}"+strings.Join(names[:len(names)-1], ", ")+".\n") + assembled
	for _, name := range names {
		want += parts[name]
	}
	switch {
	case string(data) == want:
	case *update:
		if err := os.WriteFile(referenceFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what the types say of themselves: go test ./supervisor/sink/types -update", referenceFile)
	}
}

// TestReadmesHaveEachType: the table of sinks and the list of rooms, which are written
// by hand.
func TestReadmesHaveEachType(t *testing.T) {
	table, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `supervisor/sink` \\|.*$").FindString(string(rooms))
	for _, typ := range types.BuiltIn() {
		if !strings.Contains(string(table), "\n| `"+typ.Name()+"` |") {
			t.Errorf("the table of supervisor/sink/README.md has no row that begins with | `%s` |: what does a consumer get?", typ.Name())
		}
		if room := "`" + path.Base(reflect.TypeOf(typ).PkgPath()) + "`"; !strings.Contains(row, room) {
			t.Errorf("the row `supervisor/sink` of Rooms in supervisor/README.md does not name %s", room)
		}
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

// saidDefault is a default in the comment above a key: a time, a number, a word or a mode.
var saidDefault = regexp.MustCompile(`Default: ("?[a-z0-9A-Z]+"?)[.:,]`)

// TestDefaultsAreAsTheReferenceSays: what is said of a key that has a default is what is
// read where nothing stands. Two keys have theirs in words for both.
func TestDefaultsAreAsTheReferenceSays(t *testing.T) {
	names, parts, fields := documented()
	compared := 0
	for _, name := range names {
		said := map[string]string{}
		var all yaml.Node
		if err := yaml.Unmarshal([]byte(parts[name]), &all); err != nil {
			t.Fatal(err)
		}
		for _, part := range all.Content[0].Content {
			defaultsSaid(said, "", part)
		}
		for key, f := range defaultsOf("", fields[name]) {
			what, ok := said[key]
			switch want := written(f); {
			case name == "unixsocket" && (key == "attempts" || key == "interval"):
				if !strings.Contains(parts[name], "Default: 3 and 5s.\n    attempts: 3\n    interval: 5s\n") || want != map[string]string{"attempts": "3", "interval": "5s"}[key] {
					t.Errorf("unixsocket: the default of %s is %s, and that is not what the reference says", key, want)
				}
			case !ok:
				t.Errorf("%q: the reference does not say the default of %s, which is %s: write Default: %s.", name, key, want, want)
			case what != want:
				t.Errorf("%q: the reference says of %s Default: %s., and %s is read", name, key, what, want)
			}
			compared++
		}
	}
	if compared < 15 {
		t.Errorf("only %d defaults were compared", compared)
	}
}

// defaultsSaid are those in the comments of one part, the first that is said of a key.
func defaultsSaid(said map[string]string, prefix string, n *yaml.Node) {
	for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if m := saidDefault.FindStringSubmatch(key.HeadComment); m != nil && said[prefix+key.Value] == "" {
			said[prefix+key.Value] = m[1]
		}
		defaultsSaid(said, prefix+key.Value+".", value)
	}
}

// defaultsOf are the keys that have one.
func defaultsOf(prefix string, fields config.Fields) map[string]config.Field {
	all := map[string]config.Field{}
	for key, f := range fields {
		if f.Default != nil && !slices.Contains(config.ContentKeys(), key) {
			all[prefix+key] = f
		}
		if f.Holds == config.Nested {
			maps.Copy(all, defaultsOf(prefix+key+".", f.Fields))
		}
	}
	return all
}

// written is a default as people write it.
func written(f config.Field) string {
	if f.Holds == config.Mode {
		return fmt.Sprintf(`"%04o"`, f.Default)
	}
	return fmt.Sprint(f.Default)
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
