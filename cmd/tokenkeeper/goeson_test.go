package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// On a terminal work that takes long is told of on a line that is gone afterwards;
// elsewhere nothing is.
func TestWorkThatGoesOn(t *testing.T) {
	t.Setenv("TERM", "xterm")
	p := newTerminal(t)
	e := newEnv(strings.NewReader(""), p.File, p.File)
	e.goesOn("not worth it", false)()
	e.goesOn("checking 3 accounts", true)()
	showWork(p.File, strings.Repeat("x", 2*narrow), 3*time.Second)
	const cleared = "\r\x1b[K"
	got := p.text() // on a machine that stands still it may have counted seconds
	if !strings.HasPrefix(got, cleared+"checking 3 accounts …") || !strings.HasSuffix(got, cleared+cleared+strings.Repeat("x", narrow-2)+"…") || strings.Contains(got, "not worth it") {
		t.Errorf("got %q", got)
	}
	var out bytes.Buffer
	showWork(&out, "checking", 3*time.Second)
	if got := out.String(); got != cleared+"checking … 3 s" {
		t.Errorf("after 3 s: %q", got)
	}
	out.Reset()
	newEnv(nil, &out, &out).goesOn("checking", true)()
	if out.Len() > 0 {
		t.Errorf("in a pipe: %q", out.String())
	}
}

// What check says stands on a terminal as if it had not told of its work before.
func TestCheckTellsThatItGoesOn(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	t.Setenv("TERM", "xterm")
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	w := newWorld(t, twoAccounts)
	p := newTerminal(t)
	code := run(t.Context(), []string{"check", "-c", w.config}, strings.NewReader(""), p.File, p.File)
	told, rest, found := strings.Cut(p.text(), "\r\x1b[Kconfiguration ")
	if code != exitOK || !found || !strings.HasPrefix(told, "\r\x1b[Kchecking 2 accounts and 2 sinks …") || !strings.HasSuffix(rest, "\neverything is in order\n") {
		t.Errorf("exit code %d: first %q, then\n%s", code, told, rest)
	}
	fitsColumns(t, rest)
}
