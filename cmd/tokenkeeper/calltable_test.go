package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// touching are the names by which production code opens, makes, moves, connects
// to, listens on or runs something, by the import path of their package. Types
// count whose methods do so.
var touching = map[string][]string{
	"os": {"Open", "OpenFile", "OpenRoot", "OpenInRoot", "Create", "CreateTemp", "ReadFile", "WriteFile", "Rename",
		"Link", "Symlink", "StartProcess", "DirFS", "CopyFS"},
	"os/exec": {"Command", "CommandContext"},
	"net":     {"Dial", "DialTimeout", "DialUnix", "Dialer", "Listen", "ListenUnix", "ListenUnixgram", "ListenPacket", "ListenConfig", "FileListener", "FileConn"},

	"crypto/tls": {"Dial", "DialWithDialer", "Dialer", "Listen"},
	"syscall":    {"Open", "Openat", "Creat", "Rename", "Exec", "ForkExec", "StartProcess", "Connect"},
	"plugin":     {"Open"},
	"io/ioutil":  {"ReadFile", "WriteFile", "TempFile"},

	"golang.org/x/sys/unix": {"Open", "Openat", "Openat2", "Creat", "Rename", "Renameat", "Renameat2", "Linkat", "Exec", "Connect"},

	"github.com/tokenkeeper/tokenkeeper/sdk/files":         {"OS", "ReadWhole"},
	"github.com/tokenkeeper/tokenkeeper/supervisor/config": {"Read"},
}

// callSites are all of them in production code, by package and function, each
// with what it calls.
func callSites(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	sites := map[string][]string{}
	for _, top := range []string{"cmd", "sdk", "supervisor", "plugins"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			rel, err := filepath.Rel(root, name)
			if err != nil || isTestRoom(rel) {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			for site, calls := range callsIn(f) {
				site = path.Dir(filepath.ToSlash(rel)) + " " + site
				sites[site] = append(sites[site], calls...)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for site := range sites {
		slices.Sort(sites[site])
		sites[site] = slices.Compact(sites[site])
	}
	return sites
}

// isTestRoom says whether a file belongs to a room for tests, of which
// TestMainBinaryCarriesNoTestRoom keeps the program free.
func isTestRoom(file string) bool {
	for room := range strings.SplitSeq(path.Dir(filepath.ToSlash(file)), "/") {
		if strings.HasSuffix(room, "test") {
			return true
		}
	}
	return false
}

// callsIn finds them in one file, by the function around them. A function that
// is taken and not called counts: it will be called elsewhere.
func callsIn(f *ast.File) map[string][]string {
	imports := map[string]string{}
	for _, spec := range f.Imports {
		where, _ := strconv.Unquote(spec.Path.Value)
		name := path.Base(where)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if _, listed := touching[where]; listed {
			imports[name] = where
		}
	}
	found := map[string][]string{}
	for _, decl := range f.Decls {
		site := "(package)"
		if fn, ok := decl.(*ast.FuncDecl); ok {
			site = functionName(fn)
		}
		ast.Inspect(decl, func(n ast.Node) bool {
			made := false
			if literal, ok := n.(*ast.CompositeLit); ok && literal.Type != nil {
				n, made = literal.Type, true
			}
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok || x.Obj != nil {
				return true
			}
			where := imports[x.Name]
			if slices.Contains(touching[where], sel.Sel.Name) && !made || made && where == "os/exec" && sel.Sel.Name == "Cmd" {
				found[site] = append(found[site], x.Name+"."+sel.Sel.Name)
			}
			return true
		})
	}
	return found
}

// functionName is T.f of a method.
func functionName(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return fn.Name.Name
	}
	of := fn.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	return fmt.Sprint(of) + "." + fn.Name.Name
}

// tableOfCalls is above the table in the README of package trust; a row of it
// has a package and its functions, what and by which rule, and the tests.
const tableOfCalls = "## Every call that opens, connects or runs"

var (
	rowOfCalls = regexp.MustCompile("^\\| (`[^|]+`) \\| [^|]+ \\| [^|]+ \\| (`Test[^|]+`|—) \\|$")
	quoted     = regexp.MustCompile("`([^`]+)`")
)

// documentedCalls are the call sites that the table names.
func documentedCalls(t *testing.T) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "supervisor", "trust", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(b), tableOfCalls+"\n")
	if !found {
		t.Fatalf("there is no %q", tableOfCalls)
	}
	table, _, _ = strings.Cut(table, "\n## ")
	var sites []string
	for line := range strings.Lines(table) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		row := rowOfCalls.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			t.Errorf("a row must say what, by which rule and which test shows it (— if it needs none): %s", line)
			continue
		}
		names := quoted.FindAllStringSubmatch(row[1], -1)
		if len(names) < 2 {
			t.Errorf("a row must name a package and its functions: %s", line)
		}
		for _, f := range names[1:] {
			sites = append(sites, names[0][1]+" "+f[1])
		}
	}
	return sites
}

// TestEveryCallIsJudged: whoever adds a call that opens, connects or runs
// something has to say who could have put it there, and what is done about that.
func TestEveryCallIsJudged(t *testing.T) {
	sites, documented := callSites(t), documentedCalls(t)
	if len(sites) < 50 {
		t.Fatalf("only %d call sites were found", len(sites))
	}
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		if !slices.Contains(documented, site) {
			t.Errorf("%s uses %s and is not in the table %q of supervisor/trust/README.md: who could have put there what it opens, connects to or runs?",
				site, strings.Join(sites[site], ", "), strings.TrimPrefix(tableOfCalls, "## "))
		}
	}
	for i, site := range documented {
		if _, there := sites[site]; !there {
			t.Errorf("the table of supervisor/trust/README.md names %s, which does no such thing (any more)", site)
		}
		if slices.Contains(documented[:i], site) {
			t.Errorf("the table of supervisor/trust/README.md names %s twice", site)
		}
	}
}

// TestCallsAreFound: what the table rests on sees each way to write a call, and
// nothing else.
func TestCallsAreFound(t *testing.T) {
	const source = `package p
import (
	"net"
	"os"
	run "os/exec"
	"golang.org/x/sys/unix"
	"github.com/tokenkeeper/tokenkeeper/sdk/files"
)
var open = os.Open
type T[K any] struct{}
func f() { go func() { _, _ = os.ReadFile("x") }() }
func (*T[K]) g() { _ = run.Command("x") }
func (T[K]) h() { var d net.Dialer; _ = d; _ = files.OS{} }
func i() { os := thing{}; os.Open(); _ = unix.Getpid() }
func (t T[K]) j() error { defer unix.Close(1); return unix.Openat(1, "x", 0, 0) }
func k() { _ = &run.Cmd{Path: "x"}; var c *run.Cmd; _ = c }
`
	f, err := parser.ParseFile(token.NewFileSet(), "p.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	got := callsIn(f)
	want := map[string][]string{
		"(package)": {"os.Open"}, "f": {"os.ReadFile"}, "T.g": {"run.Command"}, "T.h": {"net.Dialer", "files.OS"},
		"T.j": {"unix.Openat"}, "k": {"run.Cmd"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
