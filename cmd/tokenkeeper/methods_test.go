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

// mostReached is how many can be called of a type of the root, with what it embeds: the
// root is wiring, and whoever hangs all of it on one object has hidden who needs what.
const mostReached = 32

// methodCounts are the methods of types, and the types of the same package that each embeds,
// by package and type.
type methodCounts struct {
	methods map[string]int
	embeds  map[string][]string
}

func newMethodCounts() methodCounts { return methodCounts{map[string]int{}, map[string][]string{}} }

// TestNoTypeHasTooManyMethods counts those in production code: what a type declares, and
// of the root's what can be called of it, with what it embeds.
func TestNoTypeHasTooManyMethods(t *testing.T) {
	root := filepath.Join("..", "..")
	all := newMethodCounts()
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
			all.add(path.Dir(filepath.ToSlash(rel)), f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	most := 0
	for of, n := range all.methods {
		if most = max(most, n); n > mostMethods {
			t.Errorf("%s has %d methods, and a type may have %d: find what it is made of, and give each its own", of, n, mostMethods)
		}
	}
	for of := range all.embeds {
		if n := all.reached(of); n > mostReached && strings.HasPrefix(of, "supervisor ") {
			t.Errorf("of %s %d methods can be called, with those of what it embeds, and it may be %d: let it name what it uses", of, n, mostReached)
		}
	}
	if most < mostMethods/2 {
		t.Errorf("no type has more than %d methods: this test has not seen them", most)
	}
}

// add counts what is in a file.
func (c methodCounts) add(pkg string, f *ast.File) {
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			if d.Recv != nil {
				of, _, _ := strings.Cut(functionName(d), ".")
				c.methods[pkg+" "+of]++
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if typ, ok := spec.(*ast.TypeSpec); ok {
					c.addEmbedded(pkg, typ)
				}
			}
		}
	}
}

func (c methodCounts) addEmbedded(pkg string, typ *ast.TypeSpec) {
	of, ok := typ.Type.(*ast.StructType)
	if !ok {
		return
	}
	for _, field := range of.Fields.List {
		embedded := field.Type
		if pointer, ok := embedded.(*ast.StarExpr); ok {
			embedded = pointer.X
		}
		if name, ok := embedded.(*ast.Ident); ok && len(field.Names) == 0 {
			c.embeds[pkg+" "+typ.Name.Name] = append(c.embeds[pkg+" "+typ.Name.Name], pkg+" "+name.Name)
		}
	}
}

// reached is how many methods can be called of a type. One that hides another one of its
// name counts as two.
func (c methodCounts) reached(of string) int {
	n := c.methods[of]
	for _, embedded := range c.embeds[of] {
		n += c.reached(embedded)
	}
	return n
}

func TestMethodsAreCountedByType(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "a.go", "package a; type T struct{}; type G[K any] struct{ *T; n U }; type U struct{ G }; func F() {}\n"+
		"func (T) a() {}; func (t *T) b() {}; func (g *G[K]) c() {}", 0)
	if err != nil {
		t.Fatal(err)
	}
	all := newMethodCounts()
	all.add("a", f)
	if m := all.methods; len(m) != 2 || m["a T"] != 2 || m["a G"] != 1 {
		t.Errorf("counted %v", m)
	}
	for of, want := range map[string]int{"a T": 2, "a G": 3, "a U": 3} {
		if got := all.reached(of); got != want {
			t.Errorf("of %s %d methods can be called, want %d", of, got, want)
		}
	}
}
