package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Neither a file that whoever starts the service has left open, nor one of its
// own, reaches what it starts.
func TestNobodyInheritsOpenFiles(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: time.Hour})
	s := newSite(t, "")
	s.configure(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "before_expiry: 5m")+fmt.Sprintf(`sinks:
  command: {type: exec, command: [/bin/sh, -c, "ls -l /proc/self/fd >$0/seen.new && mv $0/seen.new $0/seen", %q]}
`, s.dir))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	write(t, s.path("left-open"), "")
	write(t, s.path("wrapper"), fmt.Sprintf("#!/bin/sh\nexec 9<%q\nexec %q \"$@\"\n", s.path("left-open"), s.program))
	if err := os.Chmod(s.path("wrapper"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.program = s.path("wrapper")
	r := startRun(t, s)
	r.delivered(schwabAccount, 1)
	seen := string(readFile(t, s.path("seen")))
	if !strings.Contains(seen, "/proc/") || strings.Contains(seen, "left-open") || strings.Contains(seen, "tokenkeeper.db") || strings.Contains(seen, "socket") {
		t.Errorf("the command has these open:\n%s", seen)
	}
	pid := provider(r.until(func(st control.Status) bool { return provider(st, "schwab").PID != 0 }), "schwab").PID
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range open {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, f.Name()))
		if strings.HasPrefix(to, s.path("left-open")) || strings.Contains(to, "tokenkeeper.db") {
			t.Errorf("the provider has %s open", to)
		}
	}
	if own, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/9", r.PID)); own != s.path("left-open") {
		t.Fatalf("the service did not inherit the file (%q): this test would prove nothing", own)
	}
}
