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
// in a module of its own, and what is only a test there compiles beside the
// program above it, which describes itself as that test demands.
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
	programs, tests, parts := 0, 0, 0
	folder := func() string { return string(rune('a' + programs - 1)) }
	for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1) {
		text := string(block[1])
		switch {
		case strings.HasPrefix(text, "package main\n"):
			programs++
			put(folder()+"/main.go", text)
		case strings.HasPrefix(text, "func Test") && programs > 0:
			tests++
			put(folder()+"/main_test.go", "package main\n\nimport (\n\t\"testing\"\n\n\t\""+
				project+"/sdk\"\n\t\""+project+"/sdk/providertest\"\n)\n\n"+text)
		case strings.HasPrefix(text, "oauth.Endpoint{") && programs > 0:
			parts++
			put(folder()+"/endpoint.go", "package main\n\nimport \""+project+"/sdk/oauth\"\n\nvar _ = "+text)
		default:
			t.Errorf("a block in Go that nothing tries:\n%s", text)
		}
	}
	if programs != 3 || tests != 1 || parts != 1 {
		t.Fatalf("found %d programs, %d tests and %d parts, want a provider with its test and an endpoint, one without refresh tokens, and a sink", programs, tests, parts)
	}
	vet := exec.Command("go", "vet", "-mod=mod", "./...")
	vet.Dir = dir
	vet.Env = append(os.Environ(), "GOWORK=off")
	if out, err := vet.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	holds := exec.Command("go", "test", "-mod=mod", "-vet=off", "-run", "TestConformance/Describe", "./a")
	holds.Dir, holds.Env = dir, vet.Env
	if out, err := holds.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ok ") {
		t.Errorf("the smallest provider does not describe itself as the contract wants it: %v\n%s", err, out)
	}
}
