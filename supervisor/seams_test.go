package supervisor

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"testing"
)

// TestSeams: the simulation, the demo and the tests build the supervisor that
// users run. Where they may differ is documented, and a new place is a
// decision that somebody has to write down.
func TestSeams(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `Seams\\.(\\w+)` \\|").FindAllSubmatch(readme, -1) {
		documented = append(documented, string(row[1]))
	}
	var actual []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Seams]()) {
		actual = append(actual, field.Name)
		if kind := field.Type.Kind(); kind != reflect.Func {
			t.Errorf("Seams.%s is a %s: a seam is a function whose nil is the real thing", field.Name, kind)
		}
	}
	if len(actual) == 0 {
		t.Fatal("there are no seams: this test would prove nothing")
	}
	if !slices.Equal(documented, actual) {
		t.Errorf("README.md documents the seams %v; Seams has %v", documented, actual)
	}
	var options []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Options]()) {
		options = append(options, field.Name)
	}
	// Each of these is what "tokenkeeper run" sets too.
	if want := []string{"Config", "Reread", "Referred", "Check", "Version", "Log", "Builtin", "Stored", "Looked", "Observe", "Seams"}; !slices.Equal(options, want) {
		t.Errorf("Options has %v, want %v: what only a test sets belongs into Seams", options, want)
	}
}
