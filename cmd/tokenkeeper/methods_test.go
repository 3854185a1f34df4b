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

// mostMethods is how many a type may have: with more it is several things under one
// name, of which nobody can say what it is.
const mostMethods = 25

// TestNoTypeHasTooManyMethods counts those in production code.
func TestNoTypeHasTooManyMethods(t *testing.T) {
	root := filepath.Join("..", "..")
	methods := map[string]int{}
	for _, top := range []string{"cmd", "sdk", "supervisor", "plugins"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil || ast.IsGenerated(f) {
				return err
			}
			rel, err := filepath.Rel(root, name)
			countMethods(methods, path.Dir(filepath.ToSlash(rel)), f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	for of, n := range methods {
		if most = max(most, n); n > mostMethods {
			t.Errorf("%s has %d methods, and a type may have %d: find what it is made of, and give each its own", of, n, mostMethods)
		}
	}
	if most < mostMethods/2 {
		t.Errorf("no type has more than %d methods: this test has not seen them", most)
	}
}

// countMethods adds those in a file, by package and type.
func countMethods(methods map[string]int, pkg string, f *ast.File) {
	for _, decl := range f.Decls {
		if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv != nil {
			of, _, _ := strings.Cut(functionName(fn), ".")
			methods[pkg+" "+of]++
		}
	}
}

func TestMethodsAreCountedByType(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a; type T struct{}; type G[K any] struct{}; func F() {}\n"+
		"func (T) a() {}; func (t *T) b() {}; func (g *G[K]) c() {}", 0)
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]int{}
	countMethods(methods, "a", f)
	if len(methods) != 2 || methods["a T"] != 2 || methods["a G"] != 1 {
		t.Errorf("counted %v", methods)
	}
}
