// Command tests reads what "go test -json" prints, tells it as "go test" does,
// and then what was skipped and why. A skip that is not in the list fails, as a
// failed test does:
//
//	go test -json ./... | tests -list .ci/skips [-where short]…
//
// With -again it names the packages in which nothing failed but the race detector itself,
// of which a check of its own state can fail.
//
// With -skipped it judges something beside the tests that is left out.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	var where []string
	list := flag.String("list", ".ci/skips", "what may be skipped")
	skipped := flag.String("skipped", "", "why a step is left out")
	again := flag.String("again", "", "where to name the packages to test once more; what is there is replaced")
	flag.Func("where", "what holds in this run", func(s string) error { where = append(where, strings.Fields(s)...); return nil })
	flag.Parse()
	allowed, err := readList(*list)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	r := newReport(os.Stdout)
	if *skipped != "" {
		r.skips = []skip{{"a step of .ci/run", *skipped}}
	} else if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	well := r.end(allowed, where)
	if *again != "" {
		if err := os.WriteFile(*again, []byte(r.onceMore()), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	if !well {
		os.Exit(1)
	}
}

// event is a line of "go test -json", as "go doc test2json" and "go help
// buildjson" describe it.
type event struct {
	Action, Package, Test, Output, ImportPath, FailedBuild string

	Elapsed float64
}

// skip is something that was left out, and why.
type skip struct{ what, why string }

// report is what is told of a run.
type report struct {
	out io.Writer
	// said is what each test, or package, has printed and not told yet.
	said  map[[2]string][]string
	built map[string][]string
	skips []skip
	// failed: not all is well, for what reason ever but a death of the race detector.
	failed bool
	// undone are the packages in which that died.
	undone          []string
	passes, failing int
}

func newReport(out io.Writer) *report {
	return &report{out: out, said: map[[2]string][]string{}, built: map[string][]string{}}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil { // from before there were tests
				_, _ = r.out.Write(line)
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading what the tests print: %w", err)
		}
	}
}

func (r *report) take(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		r.built[e.ImportPath] = append(r.built[e.ImportPath], e.Output)
	case "output":
		r.said[key] = append(r.said[key], e.Output)
	case "pass", "skip", "fail":
		r.settle(e, r.said[key])
		delete(r.said, key)
	}
}

// settle tells how a test or a package has ended.
func (r *report) settle(e event, said []string) {
	switch {
	case e.Action == "fail":
		if e.Test != "" {
			r.failing++
		} else {
			said = append(r.cutShort(e.Package), said...)
		}
		if text := strings.Join(said, ""); e.Test == "" && strings.Contains(text, detectorDied) && !strings.Contains(text, "DATA RACE") {
			r.undone = append(r.undone, e.Package)
		} else {
			r.failed = true
		}
		for _, text := range append(r.built[e.FailedBuild], said...) {
			if !isNoise(text) {
				fmt.Fprint(r.out, text)
			}
		}
	case e.Test == "": // the package's own line is the last
		if len(said) > 0 {
			fmt.Fprint(r.out, said[len(said)-1])
		}
	case e.Action == "skip":
		r.skips = append(r.skips, skip{e.Package + " " + e.Test, reason(said)})
	default:
		r.passes++
	}
}

// detectorDied is what the race detector says when a check of its own state has failed,
// which is no race and no failure of the test that ran.
const detectorDied = "ThreadSanitizer: CHECK failed"

// onceMore are the packages to test once more, a line each: none if something else failed.
func (r *report) onceMore() (lines string) {
	if r.failed {
		return ""
	}
	for _, pkg := range r.undone {
		lines += pkg + "\n"
	}
	return lines
}

// cutShort is what the tests of a package have printed that came to no end: the program
// died in one of them.
func (r *report) cutShort(pkg string) (said []string) {
	for _, key := range slices.SortedFunc(maps.Keys(r.said), func(a, b [2]string) int { return strings.Compare(a[1], b[1]) }) {
		if key[0] == pkg && key[1] != "" {
			said = append(said, r.said[key]...)
			delete(r.said, key)
		}
	}
	return said
}

func isNoise(text string) bool {
	for _, mark := range []string{"=== RUN", "=== PAUSE", "=== CONT", "=== NAME"} {
		if strings.HasPrefix(text, mark) {
			return true
		}
	}
	return false
}

var source = regexp.MustCompile(`^[\w./-]+\.go:\d+: `)

// reason is what a test said that was skipped, on one line.
func reason(said []string) string {
	var words []string
	for _, text := range said {
		text = strings.TrimSpace(text)
		if isNoise(text) || strings.HasPrefix(text, "--- SKIP") {
			continue
		}
		words = append(words, strings.Fields(source.ReplaceAllString(text, ""))...)
	}
	return strings.Join(words, " ")
}

// end tells what was skipped, and says whether all is well.
func (r *report) end(allowed []rule, where []string) bool {
	tests := map[string][]string{}
	var reasons []string
	for _, s := range r.skips {
		text := s.why
		if !slices.ContainsFunc(allowed, func(a rule) bool { return a.allows(s, where) }) {
			text, r.failed = "NOT ON THE LIST (.ci/skips): "+text, true
		}
		if tests[text] == nil {
			reasons = append(reasons, text)
		}
		tests[text] = append(tests[text], s.what)
	}
	if r.passes+r.failing > 0 {
		fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passes, r.failing, len(r.skips))
	}
	slices.Sort(reasons)
	for _, text := range reasons {
		fmt.Fprintf(r.out, "skipped: %s\n", text)
		for _, what := range tests[text] {
			fmt.Fprintf(r.out, "    %s\n", what)
		}
	}
	return !r.failed && len(r.undone) == 0
}

// rule is a line of the list.
type rule struct {
	where     string
	what, why *regexp.Regexp
}

func (a rule) allows(s skip, where []string) bool {
	return (a.where == "always" || slices.Contains(where, a.where)) && a.what.MatchString(s.what) && a.why.MatchString(s.why)
}

// readList reads lines of three fields, with bars between them: where, what,
// why. What and why are regular expressions for the whole.
func readList(path string) ([]rule, error) {
	body, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("what may be skipped: %w", err)
	}
	var all []rule
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, "|", 3)
		if len(fields) != 3 {
			return nil, fmt.Errorf("%s: %q has no three fields", path, line)
		}
		what, err := regexp.Compile("^(?:" + strings.TrimSpace(fields[1]) + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}
		why, err := regexp.Compile("^(?:" + strings.TrimSpace(fields[2]) + ")$")
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}
		all = append(all, rule{strings.TrimSpace(fields[0]), what, why})
	}
	return all, nil
}
