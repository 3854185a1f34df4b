package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// usualService is what configs/systemd calls the service.
const usualService = "tokenkeeper.service"

// supervisor says whether one runs, and how it is.
func (w World) supervisor(s Setup) (found []Finding, err error) {
	switch {
	case s.Status == nil && s.Unseen != "":
		return nil, errors.New("whether a supervisor runs: " + s.Unseen)
	case s.Status == nil && s.Silent != "":
		f := Finding{Severity: Fault, Message: s.StateDir + ": " + s.Silent, Remedy: "if it stays so, restart that one"}
		if h := w.Holders(s.StateDir); len(h.Holding) > 0 {
			f.Message, f.Remedy = f.Message+"; its lock is held by "+h.String(), h.Release()
		}
		return []Finding{f}, nil
	case s.Status == nil:
		return []Finding{{Severity: Fault, Message: "no supervisor runs with " + s.StateDir + ": no token is refreshed or delivered",
			Remedy: "start it: systemctl start tokenkeeper, or tokenkeeper run -c " + s.Config}}, nil
	}
	v := verdict.Of(*s.Status, s.Now)
	if v.Code != 0 {
		f := Finding{Severity: Warning, Message: v.Message, Remedy: "tokenkeeper status and tokenkeeper alerts say what to do"}
		if v.Code == verdict.Critical {
			f.Severity = Fault
		}
		found = append(found, f)
	}
	switch {
	case s.OldProgram != "":
		found = append(found, replaced(s.OldProgram))
	case s.Status.Version != s.Version:
		found = append(found, Finding{Severity: Warning, Message: fmt.Sprintf("the supervisor (PID %d) is version %s, and this program is %s", s.Status.PID, s.Status.Version, s.Version),
			Remedy: "run the program of that version, which is " + s.Status.Program + ", or restart the supervisor with this one"})
	}
	for _, p := range s.Status.Providers {
		if p.OldProgram != "" {
			found = append(found, replaced("provider "+p.Name+": "+p.OldProgram))
		}
	}
	return found, nil
}

// replaced is what is told of a program that was: what to do stands behind the last semicolon.
func replaced(text string) Finding {
	f := Finding{Severity: Warning, Message: text, Remedy: "restart what runs"}
	if n := strings.LastIndex(text, "; "); n >= 0 {
		f.Message, f.Remedy = text[:n], text[n+len("; "):]
	}
	return f
}

// configuration is what was found in it.
func configuration(s Setup) (found []Finding, err error) {
	if s.Unchecked != "" {
		err = errors.New(s.Unchecked)
	}
	for _, f := range s.Checked {
		f.Remedy = cmp.Or(f.Remedy, "put that right; tokenkeeper check says whether it is")
		found = append(found, f)
	}
	return found, err
}

// enabled are the states of a unit's file that have it started with the machine, or leave
// that to another unit (systemctl(1), "is-enabled").
func enabled(state string) bool {
	return slices.Contains([]string{"enabled", "enabled-runtime", "static", "alias", "indirect", "generated", "linked", "linked-runtime", "transient", ""}, state)
}

// service looks at the service of systemd, if it is the one of this configuration.
func (w World) service(ctx context.Context, s Setup) (found []Finding, err error) {
	all, err := w.Service(ctx, usualService)
	if err != nil {
		return nil, err
	}
	pid, _ := strconv.Atoi(all["MainPID"])
	runs := s.Status != nil && pid == s.Status.PID
	if len(all) == 0 || !runs && !names(all["ExecStart"], s.Config) {
		return nil, nil
	}
	add := func(severity Severity, remedy, format string, args ...any) {
		found = append(found, Finding{Severity: severity, Message: usualService + " " + fmt.Sprintf(format, args...), Remedy: remedy})
	}
	const why = "read why: journalctl -u tokenkeeper -n 50"
	switch {
	case all["LoadState"] != "loaded":
		add(Fault, "systemctl status tokenkeeper says why", "can't be started: its unit is %s", all["LoadState"])
		return found, nil
	case all["ActiveState"] == "failed":
		add(Fault, why+"; then: systemctl start tokenkeeper", "has failed (%s, exit status %s)", all["Result"], all["ExecMainStatus"])
	case all["SubState"] == "auto-restart", all["SubState"] == "auto-restart-queued":
		add(Fault, why, "ends again and again (%s restarts, the last exit status was %s)", all["NRestarts"], all["ExecMainStatus"])
	case s.Status != nil && !runs:
		add(Warning, "stop that one, and start the service: systemctl start tokenkeeper", "is %s, and the supervisor (PID %d) was started otherwise", all["ActiveState"], s.Status.PID)
	}
	if !enabled(all["UnitFileState"]) {
		add(Warning, "systemctl enable tokenkeeper", "is %s: it does not start with the machine", all["UnitFileState"])
	}
	if mode := all["KillMode"]; mode != "" && mode != "control-group" {
		add(Warning, "write KillMode=control-group by: systemctl edit tokenkeeper", "has KillMode=%s: a stop can cut off an answer and lose a login, or leave providers behind", mode)
	}
	if has, known := Span(all["TimeoutStopUSec"]); known && s.Stop > has {
		message, remedy := StopTooShort(usualService, has, s.Stop)
		found = append(found, Finding{Severity: Warning, Message: message, Remedy: remedy})
	}
	if all["NeedDaemonReload"] == "yes" {
		add(Warning, "systemctl daemon-reload, then restart it", "has changed since systemd read it")
	}
	return found, nil
}

// names says whether a command line names a path as one of its words.
func names(line, path string) bool {
	return slices.ContainsFunc(strings.Fields(line), func(word string) bool {
		_, value, _ := strings.Cut(word, "=")
		return word == path || value == path
	})
}
