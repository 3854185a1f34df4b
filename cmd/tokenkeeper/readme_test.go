package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// These tests hold the documentation to the program that it describes.

// TestReadmeConfigurationLoads takes the configuration out of the README and
// checks it as a user does.
func TestReadmeConfigurationLoads(t *testing.T) {
	blocks := fenced(t, filepath.Join(repository, "README.md"), "yaml")
	if len(blocks) != 1 {
		t.Fatalf("README.md has %d whole configurations, want 1", len(blocks))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "tokenkeeper.yaml")
	// As on a machine with bots, whose folders are there.
	write(t, file, strings.NewReplacer("/run/bot/", filepath.Join(dir, "run")+"/", "/var/lib/bots/", filepath.Join(dir, "bots")+"/").Replace(blocks[0]))
	for _, folder := range []string{"secrets", "run", "bots"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, "secrets", "schwab.yaml"), "app_key: key\napp_secret: secret\n")
	for name, value := range map[string]string{
		"SAXO_APP_KEY": "key", "SAXO_APP_SECRET": "secret", "HOOK_SECRET": "whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=",
		"TOKENKEEPER_STATE_DIR": filepath.Join(dir, "state"),
	} {
		t.Setenv(name, value)
	}
	got := command(t, "", "check", "--json", "-c", file)
	r := decode[report](t, got.stdout)
	if got.code != exitOK || !r.OK || len(r.Warnings) > 0 {
		t.Fatalf("check: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if len(r.Accounts) != 2 || len(r.Sinks) != 4 {
		t.Errorf("%d accounts and %d sinks, want 2 and 4", len(r.Accounts), len(r.Sinks))
	}
	for _, s := range r.Sinks {
		if want := s.Type != "webhook"; s.RefreshToken != want {
			t.Errorf("sink %s: include_refresh_token is %v, want %v", s.Name, s.RefreshToken, want)
		}
	}
}

// TestReadmeIsShort: who comes for the first time reads it to its end.
func TestReadmeIsShort(t *testing.T) {
	const most = 150
	text, err := os.ReadFile(filepath.Join(repository, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(text), "\n"); lines >= most {
		t.Errorf("README.md has %d lines, and shall have less than %d: what is more belongs into the README of a room", lines, most)
	}
}

// TestReadmeHasEveryVerb, and no README one that does not exist.
func TestReadmeHasEveryVerb(t *testing.T) {
	table := readText(t, "README.md")
	root := newRootCommand(newEnv(strings.NewReader(""), &strings.Builder{}, &strings.Builder{}))
	root.InitDefaultCompletionCmd()
	verbs := []string{}
	for _, c := range root.Commands() {
		verbs = append(verbs, c.Name())
		if !strings.Contains(table, "| `tokenkeeper "+c.Name()) {
			t.Errorf("the table of verbs lacks %q", c.Name())
		}
	}
	said := 0
	for _, file := range readmes(t) {
		for _, match := range regexp.MustCompile("(?m)(?:^|`|\\()tokenkeeper ([a-z]+)").FindAllStringSubmatch(readText(t, file), -1) {
			if said++; !slices.Contains(verbs, match[1]) {
				t.Errorf("%s speaks of \"tokenkeeper %s\", which does not exist", file, match[1])
			}
		}
	}
	if said < 2*len(verbs) {
		t.Fatalf("found only %d command lines", said)
	}
}

// TestDocumentedPathsExist looks at every relative link of every README.
func TestDocumentedPathsExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	links := 0
	for _, file := range readmes(t) {
		for _, match := range link.FindAllStringSubmatch(readText(t, file), -1) {
			links++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
	}
	if links == 0 {
		t.Fatal("no README has a link: this test would prove nothing")
	}
}

// TestDocumentedTestsExist: a table that says which test shows something must
// not outlive the test.
func TestDocumentedTestsExist(t *testing.T) {
	declared := map[string]bool{}
	declaration := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	walk(t, func(path string) {
		if strings.HasSuffix(path, "_test.go") {
			for _, match := range declaration.FindAllStringSubmatch(readText(t, path), -1) {
				declared[match[1]] = true
			}
		}
	})
	mentioned := 0
	for _, file := range readmes(t) {
		for _, match := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)`").FindAllStringSubmatch(readText(t, file), -1) {
			mentioned++
			if !declared[match[1]] {
				t.Errorf("%s names %s, which does not exist", file, match[1])
			}
		}
	}
	if mentioned == 0 {
		t.Fatal("no README names a test: this test would prove nothing")
	}
}

// fragments are blocks of Go that are no whole program: what has to stand around them,
// and in the place of "…". What is not here is compiled by the test of package sdk.
var fragments = map[string]struct{ before, dots, after string }{
	"sdk/client/README.md": {
		"package main\n\nimport (\n\t\"context\"\n\t\"net/http\"\n\t\"time\"\n\n\t\"github.com/tokenkeeper/tokenkeeper/sdk/client\"\n)\n\nfunc main() {\n\tctx := context.Background()\n",
		"_, _ = tok, err", "\t_, _, _, _ = tok, err, api, src\n}\n",
	},
}

// TestDocumentedProgramsCompile takes the programs in Go out of the READMEs.
func TestDocumentedProgramsCompile(t *testing.T) {
	skipUnlessRaced(t) // it runs the compiler
	programs := 0
	for _, file := range readmes(t) {
		for _, code := range fenced(t, file, "go") {
			if f, is := fragments[inRepository(t, file)]; is {
				code = f.before + strings.ReplaceAll(code, "…", f.dots) + f.after
			} else if inRepository(t, file) == "sdk/README.md" { // by TestReadmePrograms
				continue
			}
			programs++
			source := filepath.Join(t.TempDir(), "main.go")
			write(t, source, code)
			cmd := exec.CommandContext(t.Context(), "go", "vet", source)
			cmd.Dir = repository
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("a program in %s: %v\n%s", file, err, out)
			}
		}
	}
	if programs == 0 {
		t.Fatal("no README holds a program: this test would prove nothing")
	}
}

// TestDocumentedBlocksAreTried: every block of every README is of a kind that some test
// compiles, loads or runs.
func TestDocumentedBlocksAreTried(t *testing.T) {
	pictures := map[string]int{ // what is neither code nor configuration
		"README.md": 1, "supervisor/README.md": 1, // the way of a token
		"sdk/README.md":           1, // a handshake
		"plugins/redis/README.md": 1, // rights: TestLeastRights of package redis
	}
	var examples strings.Builder // in Python
	walk(t, func(path string) {
		if strings.HasPrefix(inRepository(t, path), "examples/") && (filepath.Ext(path) == ".py" || strings.HasPrefix(filepath.Base(path), "tokenkeeper-")) {
			examples.WriteString(readText(t, path))
		}
	})
	blocks := 0
	for _, file := range readmes(t) {
		name := inRepository(t, file)
		for _, match := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(readText(t, file), -1) {
			blocks++
			switch language, code := match[1], match[2]; language {
			case "go": // TestDocumentedProgramsCompile, TestReadmePrograms
			case "sh": // TestDocumentedCommandLines
			case "yaml", "yaml fragment": // exampleConfigurations
			case "ini": // lines of units: TestSystemd
			case "python":
				if !strings.Contains(examples.String(), "\n"+code) {
					t.Errorf("%s has a block in Python that stands in no example:\n%s", name, code)
				}
			case "":
				if pictures[name]--; pictures[name] < 0 {
					t.Errorf("%s has a block without a language, which nothing tries:\n%s", name, code)
				}
			default:
				t.Errorf("%s has a block in %q, which nothing tries", name, language)
			}
		}
	}
	if blocks < 40 {
		t.Fatalf("found only %d blocks", blocks)
	}
}

// fenced returns the code blocks of a Markdown file whose info string is
// exactly language.
func fenced(t *testing.T, file, language string) []string {
	t.Helper()
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(readText(t, file), -1) {
		if match[1] == language {
			blocks = append(blocks, match[2])
		}
	}
	return blocks
}

func readmes(t *testing.T) []string {
	t.Helper()
	var files []string
	walk(t, func(path string) {
		if filepath.Ext(path) == ".md" {
			files = append(files, path)
		}
	})
	return files
}

// inRepository is the name of a file as seen from the top.
func inRepository(t *testing.T, file string) string {
	t.Helper()
	name, err := filepath.Rel(repository, file)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// walk visits the repository's files, but for hidden folders that people don't
// read on its page.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != repository && strings.HasPrefix(d.Name(), ".") && d.Name() != ".github":
			return filepath.SkipDir
		case !d.IsDir():
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
