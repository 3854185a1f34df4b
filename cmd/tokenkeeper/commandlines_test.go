package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// otherPrograms may stand in the READMEs' blocks for a shell. What is none of ours
// is run by the tests of what they are about, or needs what no test has.
var otherPrograms = []string{
	"", "api", "apt-get", "c++", "cd", "cp", "curl", "do", "done", "for", "gcloud", "getent", "git", "groupadd", "install", "journalctl", "mv", "redis-cli", "rm", "systemctl", "usermod", "--member", "--role", "--project", "}",
}

// TestDocumentedCommandLines: whatever a README tells somebody to type is a
// command line that works: of ours with verbs, options and as many arguments as
// there are, of Go's with packages, tests and options that exist, of a shell's
// with a syntax that it takes.
func TestDocumentedCommandLines(t *testing.T) {
	inline := regexp.MustCompile("`((?:tokenkeeper|go (?:test|build|run)|bash) [^`]+)`")
	lines := 0
	for _, file := range readmes(t) {
		for _, block := range fenced(t, file, "sh") {
			parse := exec.CommandContext(t.Context(), "sh", "-n")
			parse.Stdin = strings.NewReader(block)
			if out, err := parse.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", file, err, out, block)
			}
			for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
				lines++
				tryLine(t, file, line)
			}
		}
		for _, match := range inline.FindAllStringSubmatch(strings.ReplaceAll(readText(t, file), "\n", " "), -1) {
			lines++
			tryLine(t, file, match[1])
		}
	}
	if lines < 100 {
		t.Fatalf("found only %d command lines", lines)
	}
}

// tryLine looks at each command of a line.
func tryLine(t *testing.T, file, line string) {
	t.Helper()
	for _, words := range commandsOf(line) {
		var problem string
		switch program := words[0]; {
		case program == "tokenkeeper":
			problem = problemOfOurs(words[1:])
		case program == "go" && len(words) > 1:
			problem = problemOfGo(filepath.Dir(file), words[1:])
		case program == "sh", program == "bash", program == "python3", strings.HasPrefix(program, "./"):
			problem = problemOfScript(filepath.Dir(file), words)
		case program == "export", strings.HasSuffix(program, "()"), slices.Contains(otherPrograms, program):
		default:
			problem = "nobody knows " + program
		}
		if problem != "" {
			t.Errorf("%s: %s: %s", inRepository(t, file), strings.TrimSpace(line), problem)
		}
	}
}

// commandsOf splits a line into commands, and each into words.
func commandsOf(line string) [][]string {
	var commands [][]string
	var words []string
	for _, match := range regexp.MustCompile(`#.*|'[^']*'|"[^"]*"|&&|[|;]|[^\s|;&]+`).FindAllString(line, -1) {
		switch {
		case strings.HasPrefix(match, "#"), match == "|", match == ";", match == "&&":
			if len(words) > 0 {
				commands = append(commands, words)
			}
			words = nil
		default:
			words = append(words, strings.Trim(match, `'"`))
		}
	}
	if len(words) > 0 {
		commands = append(commands, words)
	}
	return commands
}

// problemOfOurs says what tokenkeeper would not take.
func problemOfOurs(args []string) string {
	if args[0] == providerVerb { // hidden: what the supervisor runs
		return ""
	}
	root := newRootCommand(newEnv(strings.NewReader(""), io.Discard, io.Discard))
	root.InitDefaultCompletionCmd()
	verb, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if err := verb.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if !verb.Runnable() || len(verb.Flags().Args()) == 0 { // the name of a verb, in a text
		return ""
	}
	if err := verb.ValidateArgs(verb.Flags().Args()); err != nil {
		return err.Error()
	}
	return ""
}

// problemOfGo says what the go command would not find, as seen from a folder or
// from the top.
func problemOfGo(dir string, args []string) string {
	if args[0] == "mod" { // typed by the test of package sdk
		return ""
	}
	var patterns, options, packages []string
	ofProgram := func() bool { return args[0] == "run" && len(packages) > 0 } // what follows the package
	for i := 1; i < len(args) && !ofProgram(); i++ {
		name, value, joined := strings.Cut(args[i], "=")
		takes := slices.Contains([]string{"-run", "-bench", "-benchtime", "-timeout", "-o", "-rapid.checks", "-kills", "-refreshes", "-year", "-count", "-parallel"}, name)
		if takes && !joined && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch {
		case name == "-run" || name == "-bench":
			patterns = append(patterns, value)
		case strings.HasPrefix(name, "-"):
			options = append(options, name)
		default:
			packages = append(packages, args[i])
		}
	}
	tests := ""
	for _, p := range packages {
		folder, whole := strings.CutSuffix(p, "/...")
		if folder == "" {
			folder = "."
		}
		at := filepath.Join(dir, folder)
		if _, err := os.Stat(at); err != nil {
			at = filepath.Join(repository, folder)
		}
		if _, err := os.Stat(at); err != nil {
			return "there is no " + p
		}
		tests += testsIn(at, whole)
	}
	for _, p := range patterns {
		first, _, _ := strings.Cut(p, "/")
		if p != "^$" && p != "." && !regexp.MustCompile(`\nfunc \w*`+strings.Trim(first, "^$")+`\w*\(`).MatchString(tests) {
			return "no test is called " + p
		}
	}
	for _, o := range options {
		if !slices.Contains([]string{"-v", "-race", "-short", "-count", "-timeout", "-benchtime", "-parallel", "-o", "-rapid.checks"}, o) && !regexp.MustCompile(`flag\.\w+\((?:&\w+, )?"`+regexp.QuoteMeta(o[1:])+`"`).MatchString(tests) {
			return "no option is called " + o
		}
	}
	return ""
}

// testsIn is the text of the tests in a folder, and in those below it.
func testsIn(dir string, below bool) string {
	var text strings.Builder
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir && !below {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text.Write(b)
		}
		return nil
	})
	return text.String()
}

// problemOfScript says which script or program of the examples is not there; what
// is built first is named like the folder.
func problemOfScript(dir string, words []string) string {
	script := words[0]
	if script == "sh" || script == "bash" || script == "python3" {
		if len(words) == 1 {
			return ""
		}
		script = words[1]
	}
	if script == "./consumer" {
		return ""
	}
	for _, from := range []string{dir, repository} {
		if _, err := os.Stat(filepath.Join(from, script)); err == nil {
			return ""
		}
	}
	return "there is no " + script
}

// TestCommandLinesThatWouldNotWork: the search itself finds what it is for.
func TestCommandLinesThatWouldNotWork(t *testing.T) {
	for line, want := range map[string]bool{
		"tokenkeeper import saxo-live file.json -c tokenkeeper.yaml # why": true,
		"tokenkeeper token schwab-main --header | curl -H @- https://x":    true,
		"tokenkeeper sinks redeliver hook schwab-main":                     true,
		"tokenkeeper token schwab-main --headers":                          false,
		"tokenkeeper token one two":                                        false,
		"tokenkeeper stauts":                                               false,
		"go test ./cmd/tokenkeeper -run TestRandomKills -kills 10":         true,
		"go test ./cmd/tokenkeeper -run TestRandomDeaths":                  false,
		"go test ./cmd/tokenkeeper -run TestRandomKills -deaths":           false,
		"go test ./supervisor/nowhere":                                     false,
		"bash .ci/run quick":                                               true,
		"bash .ci/walk":                                                    false,
	} {
		words := commandsOf(line)[0]
		problem := ""
		switch words[0] {
		case "tokenkeeper":
			problem = problemOfOurs(words[1:])
		case "go":
			problem = problemOfGo(repository, words[1:])
		default:
			problem = problemOfScript(repository, words)
		}
		if (problem == "") != want {
			t.Errorf("%s: %q", line, problem)
		}
	}
}
