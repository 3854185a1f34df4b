package sdk_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReadmePrograms: what README.md shows of Go compiles as it stands there,
// in a module of its own; and the first provider with its test, made a module and
// tested by what README.md tells a stranger to type, passes.
func TestReadmePrograms(t *testing.T) {
	const project = "github.com/tokenkeeper/tokenkeeper"
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	repository, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join(repository, name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		if name == "go.mod" {
			text = strings.Replace(text, "module "+project+"\n", "module readme\n", 1) +
				"\nrequire " + project + " v0.0.0\nreplace " + project + " => " + repository + "\n"
		}
		put(name, text)
	}
	programs, parts := 0, 0
	var first, test string // the smallest provider
	folder := func() string { return string(rune('a' + programs - 1)) }
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1) {
		text := string(block[1])
		whole := strings.HasPrefix(text, "package main\n")
		switch {
		case whole && strings.Contains(text, "\nfunc main()"):
			if programs++; programs == 1 {
				first = text
			}
			put(folder()+"/main.go", text)
			if strings.Contains(text, "sdk.Serve(") {
				standsIn(t, text, filepath.Join(repository, "examples", "providers-short", nameIn(text), "main.go"))
			}
		case whole && strings.Contains(text, "Program:"):
			put("program/main_test.go", text) // of another language's
		case whole && test == "" && programs > 0:
			test = text
			put(folder()+"/main_test.go", text)
		case strings.HasPrefix(text, "oauth.Endpoint{") && programs > 0:
			parts++
			put(folder()+"/endpoint.go", "package main\n\nimport \""+project+"/sdk/oauth\"\n\nvar _ = "+text)
		default:
			t.Errorf("a block in Go that nothing tries:\n%s", text)
		}
	}
	if programs != 7 || test == "" || parts != 1 {
		t.Fatalf("found %d programs, the test %q and %d parts, want a provider with its test and an endpoint, one of each other kind, and a sink", programs, test, parts)
	}
	vet := exec.Command("go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOWORK=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if testing.Short() {
		return // what follows runs the whole suite
	}
	put("beside/mybroker/main.go", first)
	put("beside/mybroker/main_test.go", test)
	if err := os.Symlink(repository, filepath.Join(dir, "beside", "tokenkeeper")); err != nil {
		t.Fatal(err)
	}
	typed := regexp.MustCompile("(?s)```sh\n(go mod init .*?)```").FindSubmatch(readme)
	if typed == nil {
		t.Fatal("README.md does not say how its first provider becomes a module")
	}
	for line := range strings.Lines(string(typed[1])) {
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = filepath.Join(dir, "beside", "mybroker")
		// What go.mod names of modules that no package here is built with may have to be
		// fetched, as the others were.
		cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "GONOSUMDB=*", "GOSUMDB=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
}

// nameIn is the name that a provider's program gives itself.
func nameIn(program string) string {
	m := regexp.MustCompile(`Name:\s+"([a-z]+)",`).FindStringSubmatch(program)
	if m == nil {
		return "nameless"
	}
	return m[1]
}

// standsIn: an example is the program that README.md shows, below a comment that says
// what it is, and is as short as that promises.
func standsIn(t *testing.T, program, example string) {
	t.Helper()
	b, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	comment, whole := strings.CutSuffix(string(b), program)
	if !whole || strings.Trim(comment, "\n") == "" || strings.Contains(comment, "\n\n") {
		t.Errorf("%s is not the program that README.md shows", example)
	}
	if n := strings.Count(string(b), "\n"); n >= 60 {
		t.Errorf("%s has %d lines", example, n)
	}
}
