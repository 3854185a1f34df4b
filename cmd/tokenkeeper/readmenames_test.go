package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDocumentedFilesExist: a file of Go that a README names lies below its folder.
func TestDocumentedFilesExist(t *testing.T) {
	elsewhere := map[string]string{ // by README and name; "": outside this repository
		"sdk/README.md: mtls.go":                                  "",
		"sdk/README.md: main.go":                                  "examples/providers-short/mybroker/main.go",
		"sdk/README.md: main_test.go":                             "examples/providers-short/mybroker/main_test.go",
		".github/CONTRIBUTING.md: supervisor/sink/TYPE/config.go": "supervisor/sink/file/config.go",
	}
	var sources []string
	walk(t, func(path string) {
		if filepath.Ext(path) == ".go" {
			sources = append(sources, path)
		}
	})
	named := 0
	for _, file := range readmes(t) {
		for _, match := range regexp.MustCompile("`([\\w./-]+\\.go)`").FindAllStringSubmatch(readText(t, file), -1) {
			named++
			folder, name := filepath.Dir(file), match[1]
			if other, is := elsewhere[inRepository(t, file)+": "+name]; is && other == "" {
				continue
			} else if is {
				folder, name = repository, other
			}
			if !slices.ContainsFunc(sources, func(path string) bool {
				return strings.HasPrefix(path, folder+"/") && strings.HasSuffix(path, "/"+name)
			}) {
				t.Errorf("%s names %s, which does not exist", file, match[1])
			}
		}
	}
	if named == 0 {
		t.Fatal("no README names a file: this test would prove nothing")
	}
}

// TestDocumentedAlertsExist: the alerts that configs/README.md names beside what is seen of
// them are such as are raised.
func TestDocumentedAlertsExist(t *testing.T) {
	others := []string{ // of the configuration, and of brokers
		"allow_uids", "include_refresh_token", "state_dir", "trust_folder", "invalid_client", "invalid_grant", "unsupported_token_type",
	}
	alerts := map[string]bool{}
	types := readText(t, filepath.Join(repository, "supervisor", "event", "event.go"))
	for _, match := range regexp.MustCompile(`Type = "([a-z_]+)" +//.* ?alert\b`).FindAllStringSubmatch(types, -1) {
		alerts[match[1]] = true
	}
	_, table, _ := strings.Cut(readText(t, filepath.Join(repository, "configs", "README.md")), "\n### When something is wrong\n")
	named := 0
	for _, match := range regexp.MustCompile("`([a-z]+(?:_[a-z]+)+|ambiguous)`").FindAllStringSubmatch(table, -1) {
		switch name := match[1]; {
		case alerts[name]:
			named++
		case !slices.Contains(others, name):
			t.Errorf("configs/README.md names %s, which is no alert", name)
		}
	}
	if named < 15 {
		t.Errorf("it names only %d alerts", named)
	}
}

// TestDocumentedNamesExist: what a README calls package.Name, or package.Type.Member, is
// declared. The log of changes tells of names as they were.
func TestDocumentedNamesExist(t *testing.T) {
	others := []string{"errors.Is", "time.Now", "oauth2.Token"} // of packages that are not ours
	said := map[string][]string{}                               // by README
	rooms := map[string]map[string]bool{}                       // what each declares, by its folder's name
	for _, file := range readmes(t) {
		if filepath.Base(file) == "CHANGELOG.md" {
			continue
		}
		for _, match := range regexp.MustCompile("`([a-z][a-z0-9]*)\\.([A-Z]\\w*(?:\\.[A-Z]\\w*)?)(?:\\(\\))?`").FindAllStringSubmatch(readText(t, file), -1) {
			if name := match[1] + "." + match[2]; !slices.Contains(others, name) {
				said[file], rooms[match[1]] = append(said[file], name), map[string]bool{}
			}
		}
	}
	if len(said) == 0 {
		t.Fatal("no README names a declaration: this test would prove nothing")
	}
	walk(t, func(path string) {
		declared := rooms[filepath.Base(filepath.Dir(path))]
		if declared != nil && filepath.Ext(path) == ".go" && !strings.HasSuffix(path, "_test.go") {
			declarations(t, path, declared)
		}
	})
	for file, names := range said {
		for _, name := range names {
			if room, declaration, _ := strings.Cut(name, "."); !rooms[room][declaration] {
				t.Errorf("%s names %s, which does not exist", file, name)
			}
		}
	}
}

// declarations adds what a file declares: names, and the members of types after them.
func declarations(t *testing.T, path string, into map[string]bool) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				name = receiver(d.Recv.List[0].Type) + "." + name
			}
			into[name] = true
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.ValueSpec:
					for _, name := range s.Names {
						into[name.Name] = true
					}
				case *ast.TypeSpec:
					into[s.Name.Name] = true
					for _, member := range members(s.Type) {
						into[s.Name.Name+"."+member] = true
					}
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// members are the fields of a struct, or the methods of an interface.
func members(e ast.Expr) (all []string) {
	var fields *ast.FieldList
	switch e := e.(type) {
	case *ast.StructType:
		fields = e.Fields
	case *ast.InterfaceType:
		fields = e.Methods
	default:
		return nil
	}
	for _, f := range fields.List {
		for _, name := range f.Names {
			all = append(all, name.Name)
		}
	}
	return all
}

// TestDocumentedTroublesExist: the alerts that the table of troubles names are types of
// events.
func TestDocumentedTroublesExist(t *testing.T) {
	_, table, found := strings.Cut(readText(t, filepath.Join(repository, "configs", "README.md")), "\n### When something is wrong\n")
	types := readText(t, filepath.Join(repository, "supervisor", "event", "event.go"))
	names := 0
	for line := range strings.Lines(table) {
		columns := strings.Split(line, "|")
		if len(columns) != 5 {
			continue
		}
		for _, match := range regexp.MustCompile("`([a-z]+(?:_[a-z]+)+|ambiguous)`").FindAllStringSubmatch(columns[3], -1) {
			if name := match[1]; strings.Contains(types, `= "`+name+`"`) {
				names++
			} else if !slices.Contains([]string{"allow_uids", "include_refresh_token", "state_dir"}, name) { // keys
				t.Errorf("%s is no alert", name)
			}
		}
	}
	if !found || names < 15 {
		t.Fatalf("the table names %d alerts", names)
	}
}
