package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	modulePath = "github.com/tokenkeeper/tokenkeeper"
	repository = "../.."
)

// imported is what a package of this module imports of this module, by paths
// relative to it.
type imported struct {
	own   []string
	tests []string
}

// ground is what even leaves stand on: it imports nothing of ours.
func ground() []string {
	return []string{"supervisor/moment", "supervisor/mounts", "supervisor/nearest"}
}

// heart is what an account is: it does nothing, and knows nobody who does.
const heart = "supervisor/internal/account"

// TestImportDirections holds the house's order: cmd imports everything,
// supervisor and plugins import sdk, sdk imports neither. Direct imports are
// enough to look at, because every package of the module is looked at.
func TestImportDirections(t *testing.T) {
	packages := listPackages(t)
	for _, expected := range []string{"cmd/tokenkeeper", "supervisor", heart, "supervisor/store", "plugins/saxo", "sdk", "sdk/brokersim"} {
		if _, ok := packages[expected]; !ok {
			t.Fatalf("go list does not know %s: this test would prove nothing", expected)
		}
	}
	for _, name := range ground() {
		if p := packages[name]; len(p.own) > 0 {
			t.Errorf("%s imports %v", name, p.own)
		}
	}
	for name, p := range packages {
		for _, imports := range [][]string{p.own, p.tests} {
			for _, to := range imports {
				if to != name && !mayImport(name, to) {
					t.Errorf("%s imports %s", name, to)
				}
			}
		}
		if name == heart {
			for _, to := range p.own {
				if !slices.Contains(append(ground(), "supervisor/store", "sdk", "sdk/spool"), to) {
					t.Errorf("%s is pure and imports %s", name, to)
				}
			}
		}
		if isLeaf(name) {
			for _, to := range p.own {
				if strings.HasPrefix(to, "supervisor/") && !slices.Contains(ground(), to) {
					t.Errorf("%s is a leaf and imports %s", name, to)
				}
			}
		}
	}
}

// TestRoomsImportWhatTheyMay holds the column "may import" of supervisor/README.md. A
// name there is a room of the supervisor, "rooms" are all of them; the tests of a room
// may more.
func TestRoomsImportWhatTheyMay(t *testing.T) {
	packages := listPackages(t)
	_, table, _ := strings.Cut(readText(t, filepath.Join(repository, "supervisor", "README.md")), "\n## Rooms\n")
	table, _, _ = strings.Cut(table, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	rooms := 0
	for line := range strings.Lines(table) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 || !strings.HasPrefix(columns[1], " `") {
			continue
		}
		may := names(quoted, columns[3])
		if strings.Contains(columns[3], "room") {
			may = append(may, "")
		} else if len(may) == 0 && strings.TrimSpace(columns[3]) != "nothing of ours" {
			t.Errorf("it does not say what may be imported: %s", line)
		}
		for _, room := range names(quoted, columns[1]) {
			rooms++
			p, ok := packages[room]
			if !ok {
				t.Errorf("there is no %s", room)
			}
			for _, to := range p.own {
				if !slices.ContainsFunc(may, func(what string) bool { return isOf(to, what) }) {
					t.Errorf("%s imports %s; supervisor/README.md says that it may:%s", room, to, columns[3])
				}
			}
		}
	}
	if rooms < 50 {
		t.Fatalf("the table has %d rooms", rooms)
	}
}

// isOf says whether the table means a package by that; "": any room.
func isOf(name, what string) bool {
	switch what {
	case "":
		return strings.HasPrefix(name, "supervisor/")
	case "sdk":
		return name == "sdk" || strings.HasPrefix(name, "sdk/")
	}
	return name == "supervisor/"+what || name == "supervisor/internal/"+what
}

// names are those that stand in quotes in a text.
func names(quoted *regexp.Regexp, text string) (all []string) {
	for _, match := range quoted.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// mayImport says whether the code or the tests in from may import to.
func mayImport(from, to string) bool {
	part, _, _ := strings.Cut(from, "/")
	target, _, _ := strings.Cut(to, "/")
	switch part {
	case "cmd":
		return target != "cmd"
	case "supervisor":
		// Only the root package wires the rooms: none of them imports it.
		return target == "sdk" || target == "supervisor" && to != "supervisor"
	case "plugins":
		return target == "sdk" || sameRoom(from, to)
	case "sdk":
		return target == "sdk"
	default:
		return false // a new folder at the top needs a rule of its own
	}
}

// sameRoom says whether both belong to one plugin.
func sameRoom(from, to string) bool {
	a, b := strings.Split(from, "/"), strings.Split(to, "/")
	return len(a) > 1 && len(b) > 1 && a[0] == b[0] && a[1] == b[1]
}

func isLeaf(name string) bool {
	return slices.Contains([]string{"supervisor/config", "supervisor/schedule", "supervisor/format", "supervisor/event"}, name)
}

// TestRulesCanBeBroken: each rule refuses what it is there to refuse.
func TestRulesCanBeBroken(t *testing.T) {
	for _, bad := range [][2]string{
		{"supervisor", "plugins/saxo"}, {"supervisor/refresh", "plugins/schwab"}, {"supervisor/refresh", "supervisor"},
		{"supervisor/config", "cmd/tokenkeeper"}, {"plugins/saxo", "supervisor/store"}, {"plugins/saxo", "plugins/schwab"},
		{"sdk", "supervisor/event"}, {"sdk/oauth", "plugins/saxo"}, {"util", "sdk"},
	} {
		if mayImport(bad[0], bad[1]) {
			t.Errorf("%s may import %s", bad[0], bad[1])
		}
	}
}

// TestSimulatorSharesNothing: the simulated brokers know neither the client
// that is tested against them nor the plugins, not even through others, so
// that they can't share their misunderstandings.
func TestSimulatorSharesNothing(t *testing.T) {
	deps := goList(t, "-deps", "-test", "./sdk/brokersim")
	if !slices.Contains(deps, modulePath+"/sdk/brokersim") {
		t.Fatalf("go list did not list the simulator: %q", deps)
	}
	for _, dep := range deps {
		dep, _, _ = strings.Cut(dep, " ")
		if dep == modulePath+"/sdk/oauth" || strings.HasPrefix(dep, modulePath+"/plugins/") || strings.HasPrefix(dep, modulePath+"/supervisor") {
			t.Errorf("sdk/brokersim depends on %s", dep)
		}
	}
}

// TestMainBinaryCarriesNoTestRoom: what exists for tests stays out of the
// program, and so do the clients of services, which are weighty: they belong
// into plugins.
func TestMainBinaryCarriesNoTestRoom(t *testing.T) {
	deps := goList(t, "-deps", "./cmd/tokenkeeper")
	if !slices.Contains(deps, modulePath+"/supervisor") {
		t.Fatalf("go list did not list the supervisor: %q", deps)
	}
	for _, dep := range deps {
		if base := filepath.Base(dep); strings.HasPrefix(dep, modulePath) && strings.HasSuffix(base, "test") || dep == "pgregory.net/rapid" {
			t.Errorf("the program contains %s", dep)
		}
		for _, client := range []string{"cloud.google.com/", "google.golang.org/api/", "github.com/redis/", modulePath + "/plugins/redis", modulePath + "/plugins/gcp"} {
			if strings.HasPrefix(dep, client) {
				t.Errorf("the program contains %s", dep)
			}
		}
	}
}

// TestExamplesImportSDKOnly reads the examples' files: they are modules of
// their own, and go list would want their dependencies.
func TestExamplesImportSDKOnly(t *testing.T) {
	seen := 0
	err := filepath.WalkDir(filepath.Join(repository, "examples"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		seen++
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if rest, ours := strings.CutPrefix(to, modulePath+"/"); ours && rest != "sdk" && !strings.HasPrefix(rest, "sdk/") {
				t.Errorf("%s imports %s", path, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen == 0 {
		t.Fatal("there is no example: this test would prove nothing")
	}
}

// listPackages asks the go command for every package of the module.
func listPackages(t *testing.T) map[string]imported {
	t.Helper()
	const format = `{{.ImportPath}}|{{join .Imports " "}}|{{join .TestImports " "}} {{join .XTestImports " "}}`
	packages := map[string]imported{}
	for _, line := range goList(t, "-f", format, "./...") {
		parts := strings.Split(line, "|")
		if len(parts) != 3 {
			t.Fatalf("go list said %q", line)
		}
		name := strings.TrimPrefix(parts[0], modulePath+"/")
		packages[name] = imported{own: ownImports(parts[1]), tests: ownImports(parts[2])}
	}
	return packages
}

func ownImports(list string) []string {
	var own []string
	for path := range strings.FieldsSeq(list) {
		if rest, ok := strings.CutPrefix(path, modulePath+"/"); ok {
			own = append(own, rest)
		}
	}
	return own
}

func goList(t *testing.T, args ...string) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	cmd.Dir = repository
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %q: %v\n%s", args, err, stderr.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
