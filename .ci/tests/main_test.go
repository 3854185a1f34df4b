package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const printed = `demo: every account was refreshed
{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestGood"}
{"Action":"output","Package":"m/a","Test":"TestGood","Output":"    a_test.go:1: noise\n"}
{"Action":"pass","Package":"m/a","Test":"TestGood"}
{"Action":"output","Package":"m/a","Test":"TestRoot/one","Output":"=== RUN   TestRoot/one\n"}
{"Action":"output","Package":"m/a","Test":"TestRoot/one","Output":"    a_test.go:7: only root can do\n"}
{"Action":"output","Package":"m/a","Test":"TestRoot/one","Output":"         what it does\n"}
{"Action":"output","Package":"m/a","Test":"TestRoot/one","Output":"    --- SKIP: TestRoot/one (0.00s)\n"}
{"Action":"skip","Package":"m/a","Test":"TestRoot/one"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}
{"Action":"pass","Package":"m/a"}
`

func tell(t *testing.T, list, printed string, where ...string) (string, bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(path, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	allowed, err := readList(path)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	r := newReport(&out)
	if err := r.read(strings.NewReader(printed)); err != nil {
		t.Fatal(err)
	}
	well := r.end(allowed, where)
	return out.String(), well
}

func TestSkips(t *testing.T) {
	for name, c := range map[string]struct {
		list, where string
		well        bool
	}{
		"on the list":           {"user | m/a TestRoot/\\w+ | only root can .*\n", "user", true},
		"everywhere":            {"always | m/a TestRoot/one | only root can do what it does\n", "", true},
		"not there":             {"# nothing\n", "user", false},
		"for another machine":   {"user | m/a TestRoot/one | only root can .*\n", "short", false},
		"another test":          {"user | m/a TestRoot | only root can .*\n", "user", false},
		"for another reason":    {"user | m/a TestRoot/one | only root\n", "user", false},
		"a bar in the reason":   {"user | m/a TestRoot/one | (no|only) root can .*\n", "user", true},
		"of two, the other one": {"user | m/b .* | .*\nuser | m/a .* | .*\n", "user", true},
	} {
		t.Run(name, func(t *testing.T) {
			got, well := tell(t, c.list, printed, c.where)
			if well != c.well || strings.Contains(got, "NOT ON THE LIST") == c.well {
				t.Errorf("well: %t\n%s", well, got)
			}
			for _, want := range []string{"demo: every account", "ok  \tm/a\t0.1s\n", "1 passed, 0 failed, 1 skipped\n", "only root can do what it does\n    m/a TestRoot/one\n"} {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in\n%s", want, got)
				}
			}
			if strings.Contains(got, "noise") {
				t.Errorf("a test that passed is heard:\n%s", got)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct{ printed, want string }{
		"a test": {`{"Action":"output","Package":"m","Test":"TestX","Output":"    x_test.go:1: it broke\n"}
{"Action":"fail","Package":"m","Test":"TestX"}`, "it broke"},
		"a package": {`{"Action":"output","Package":"m","Output":"panic: no more\n"}
{"Action":"fail","Package":"m"}`, "panic: no more"},
		"a package, in the middle of a test": {`{"Action":"output","Package":"m","Test":"TestX","Output":"fatal error: all are blocked\n"}
{"Action":"output","Package":"m","Output":"FAIL\tm\n"}
{"Action":"fail","Package":"m"}`, "fatal error: all are blocked"},
		"a build": {`{"ImportPath":"m [m.test]","Action":"build-output","Output":"x.go:1: undefined: y\n"}
{"ImportPath":"m [m.test]","Action":"build-fail"}
{"Action":"fail","Package":"m","FailedBuild":"m [m.test]"}`, "undefined: y"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, well := tell(t, "", c.printed); well || !strings.Contains(got, c.want) {
				t.Errorf("well: %t\n%s", well, got)
			}
		})
	}
}

// A package in which the race detector died is named to be tested once more, unless
// something else failed.
func TestDetectorThatDies(t *testing.T) {
	const died = `{"Action":"output","Package":"m","Test":"TestX","Output":"ThreadSanitizer: CHECK failed: tsan_rtl.cpp:346\n"}
{"Action":"output","Package":"m","Output":"FAIL\tm\n"}
{"Action":"fail","Package":"m"}
`
	for name, c := range map[string]struct{ printed, again string }{
		"alone":               {died, "m\n"},
		"beside a race":       {`{"Action":"output","Package":"m","Test":"TestY","Output":"WARNING: DATA RACE\n"}` + "\n" + died, ""},
		"beside another test": {`{"Action":"fail","Package":"n","Test":"TestY"}` + "\n" + died, ""},
		"nothing":             {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			r := newReport(&out)
			if err := r.read(strings.NewReader(c.printed)); err != nil {
				t.Fatal(err)
			}
			if well := r.end(nil, nil); well != (c.printed == "") || r.onceMore() != c.again {
				t.Errorf("well: %t, once more: %q\n%s", well, r.onceMore(), out.String())
			}
		})
	}
}

func TestListWithoutThreeFields(t *testing.T) {
	path := filepath.Join(t.TempDir(), "skips")
	if err := os.WriteFile(path, []byte("always | TestX\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readList(path); err == nil {
		t.Error("it was taken")
	}
}

// The list that the gate reads can be read.
func TestTheListItself(t *testing.T) {
	if rules, err := readList(filepath.Join("..", "skips")); err != nil || len(rules) == 0 {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}
