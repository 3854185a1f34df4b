package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// Whoever changes the configuration and goes on with a supervisor that has read
// the old one is told so, by every verb that could be taken for a reload.
func TestOldConfigurationIsTold(t *testing.T) {
	const told = "/etc/tokenkeeper/tokenkeeper.yaml has changed since the supervisor (PID 4242) read it: all that runs goes on with the old one."
	for _, changed := range []bool{false, true} {
		status := sampleStatus
		f := &fake{status: func() control.Status { s := status(); s.ConfigChanged = changed; return s }}
		socket, _, _ := serve(t, f)
		for _, args := range []string{
			"status", "sinks", "restart schwab", "restart schwap", "sinks test phone", "sinks disable phone", "sinks redeliver phone",
		} {
			got := command(t, "", append(strings.Fields(args), "--socket", socket)...)
			text := strings.Join(strings.Fields(got.stdout+got.stderr), " ")
			if strings.Contains(text, told) != changed || strings.Contains(text, "systemctl reload") != changed {
				t.Errorf("changed %t: %s says\n%s", changed, args, text)
			}
			got = command(t, "", append(strings.Fields(args), "--socket", socket, "--json")...)
			if strings.Contains(got.stdout+got.stderr, told) != (changed && args != "status") ||
				strings.Contains(got.stdout, `"config_changed": true`) != (changed && args == "status") {
				t.Errorf("changed %t: %s --json says\n%s%s", changed, args, got.stdout, got.stderr)
			}
		}
	}
	if got := outOfDate(control.Status{}, now); got != nil {
		t.Errorf("of one that is the same: %s", got)
	}
}

// That a reload has failed is told where it is told that the file has changed, and with
// what keeps a start from succeeding only once; and also where the file has not.
func TestFailedReloadIsTold(t *testing.T) {
	for name, tt := range map[string]struct {
		changed                bool
		failed, problem, other string // the reload's error, the start's, and the difference
		want                   string
	}{
		"none has": {changed: true, other: "account a is new", want: "goes on with the old one. In the new one: account a is new;"},
		"one has":  {changed: true, failed: "sink x: it hangs", other: "account a is new", want: "goes on with the old one. The last reload failed (14:15:00 5m ago): sink x: it hangs. In the new one: account a is new;"},
		"so would a start": {changed: true, failed: "tk.yaml:3:1: acounts: unknown key", problem: "tk.yaml:3:1: acounts: unknown key",
			want: "goes on with the old one. The last reload failed (14:15:00 5m ago), and so would a start with the new one: tk.yaml:3:1: acounts: unknown key"},
		"a start would fail otherwise": {changed: true, failed: "sink x: it hangs", problem: "tk.yaml:3:1: acounts: unknown key",
			want: "The last reload failed (14:15:00 5m ago): sink x: it hangs. A start with the new one would fail: tk.yaml:3:1: acounts: unknown key"},
		"the file says what runs": {failed: "provider acme: it is gone", want: "The last reload of /etc/tokenkeeper/tokenkeeper.yaml failed (14:15:00 5m ago): provider acme: it is gone. To try again: tokenkeeper reload"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{status: func() control.Status {
				s := sampleStatus()
				s.ConfigChanged, s.ConfigProblem, s.ConfigDifference = tt.changed, tt.problem, tt.other
				if s.ConfigReloadError = tt.failed; tt.failed != "" {
					s.ConfigReloadFailedAt = now.Add(-5 * time.Minute)
				}
				return s
			}}
			socket, _, _ := serve(t, f)
			got := command(t, "", "status", "--socket", socket)
			if !strings.Contains(inOneLine(got.stdout), tt.want) {
				t.Errorf("%q is not in\n%s", tt.want, got.stdout)
			}
			got = command(t, "", "status", "--socket", socket, "--json")
			if strings.Contains(got.stdout, `"config_reload_failed_at": "2026-09-14T14:15:00Z"`) != (tt.failed != "") || strings.Contains(got.stdout, `"config_reload_error"`) != (tt.failed != "") {
				t.Errorf("status --json says\n%s", got.stdout)
			}
		})
	}
}

// So is who replaces the program and goes on with the one that runs.
func TestReplacedProgramIsTold(t *testing.T) {
	const told = "/usr/local/bin/tokenkeeper is another program than the one that the supervisor (PID 4242) was started with, 3d ago"
	f := &fake{status: func() control.Status {
		s := sampleStatus()
		s.Program, s.ProgramReplaced = "/usr/local/bin/tokenkeeper", true
		return s
	}}
	socket, _, _ := serve(t, f)
	for _, args := range []string{"status", "restart schwab"} {
		got := command(t, "", append(strings.Fields(args), "--socket", socket)...)
		if text := inOneLine(got.stdout + got.stderr); !strings.Contains(text, told) || !strings.Contains(text, "systemctl restart") {
			t.Errorf("%s says\n%s", args, text)
		}
	}
	if got := command(t, "", "status", "--socket", socket, "--json"); !strings.Contains(got.stdout, `"program_replaced": true`) {
		t.Errorf("status --json says\n%s", got.stdout)
	}
}
