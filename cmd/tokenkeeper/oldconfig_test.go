package main

import (
	"strings"
	"testing"

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
