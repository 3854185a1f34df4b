package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

const (
	eventPackage = "github.com/tokenkeeper/tokenkeeper/supervisor/event"
	alertRoom    = "supervisor/internal/alert"
)

// Alerts are derived from facts, and never announced by whoever notices them.
func TestOnlyTheAlertRoomSetsAlert(t *testing.T) {
	root := filepath.Join("..", "..")
	setters := map[string]int{}
	for _, top := range []string{"cmd", "sdk", "supervisor", "plugins"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(root, name)
			setters[path.Dir(filepath.ToSlash(rel))] += setsAlert(f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for room, n := range setters {
		if n > 0 && room != alertRoom {
			t.Errorf("%s sets Alert in an event %d times: keep what is wrong as a fact in the room's status, and nudge the bus", room, n)
		}
	}
	if setters[alertRoom] == 0 {
		t.Error("nothing sets Alert, which this test should have seen in " + alertRoom)
	}
	for text, want := range map[string]int{
		`package a; import "` + eventPackage + `"; var e = event.Event{Type: "x", Alert: true}`:                                                                  1,
		`package a; import other "` + eventPackage + `"; var e = []other.Event{{Alert: true}}`:                                                                   1,
		`package a; import "` + eventPackage + `"; func f(e event.Event) { e.Type, e.Alert = "x", true }`:                                                        1,
		`package a; import "` + eventPackage + `"; var n = Notice{Alert: &event.Alert{}}; var is = event.Event{}; func f(n Notice) { n.Alert = &event.Alert{} }`: 0,
		`package event; func f() Event { return Event{Alert: true} }`:                                                                                            1,
	} {
		f, err := parser.ParseFile(token.NewFileSet(), "a.go", text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if n := setsAlert(f); n != want {
			t.Errorf("%d are seen, want %d: %s", n, want, text)
		}
	}
}

// setsAlert counts where a file sets the field Alert of an event.
func setsAlert(f *ast.File) (n int) {
	name := ""
	for _, imported := range f.Imports {
		if strings.Trim(imported.Path.Value, `"`) == eventPackage {
			name = "event"
			if imported.Name != nil {
				name = imported.Name.Name
			}
		}
	}
	if name == "" && f.Name.Name != "event" {
		return 0
	}
	isEvent := func(e ast.Expr) bool {
		switch e := e.(type) {
		case *ast.Ident:
			return name == "" && e.Name == "Event"
		case *ast.SelectorExpr:
			of, ok := e.X.(*ast.Ident)
			return ok && of.Name == name && e.Sel.Name == "Event"
		}
		return false
	}
	count := func(lit *ast.CompositeLit) {
		for _, elt := range lit.Elts {
			if kv, ok := elt.(*ast.KeyValueExpr); ok {
				if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Alert" {
					n++
				}
			}
		}
	}
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.CompositeLit:
			if list, ok := node.Type.(*ast.ArrayType); ok && isEvent(list.Elt) {
				for _, elt := range node.Elts {
					if lit, ok := elt.(*ast.CompositeLit); ok && lit.Type == nil {
						count(lit)
					}
				}
			}
			if isEvent(node.Type) {
				count(node)
			}
		case *ast.AssignStmt:
			for i, left := range node.Lhs {
				field, ok := left.(*ast.SelectorExpr)
				if !ok || field.Sel.Name != "Alert" {
					continue
				}
				// What a notice carries is the address of an alert.
				if _, address := node.Rhs[min(i, len(node.Rhs)-1)].(*ast.UnaryExpr); !address {
					n++
				}
			}
		}
		return true
	})
	return n
}
