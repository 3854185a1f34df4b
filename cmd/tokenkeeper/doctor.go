package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/doctor"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

func newDoctorCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this machine and the set-up",
		Long: `Say what is wrong with this machine and with what is set up on it, the worst
first, each in one line with what to do: whether a supervisor runs and how it
is; whether each token endpoint can be reached, by its proxy if it has one, and
what its certificate and its clock say; this machine's clock; the room on the
disk; who holds the lock of a shared file; the service of systemd; what the
kernel lacks; and all that "tokenkeeper check" finds.

It works with a running supervisor and without, changes nothing, and takes no
lock of a shared file. A token endpoint is asked for no more than its head, and
hears nothing of an account.

Exit codes: 0 all is well, 1 somebody should look, 2 there is a fault.`,
		Example: "  tokenkeeper doctor\n  tokenkeeper doctor --json",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := e.configPath()
			if err != nil {
				return err
			}
			if err := (visit{e, path}).isOfSocket(cmd.Context()); err != nil {
				return err
			}
			s, err := visit{e, path}.setUp(cmd.Context())
			if err != nil {
				return err
			}
			examined := e.goesOn("examining the machine and the ways to the brokers", true)
			d := doctor.Here().Diagnose(cmd.Context(), s)
			examined()
			if e.json {
				err = e.printJSON(d)
			} else {
				err = e.write(renderDiagnosis(d, e.painter(), e.tableWidth()))
			}
			if err == nil && d.Code != exitOK {
				err = &exitError{d.Code, errSaid}
			}
			return err
		},
	}
}

// visit is one to what the configuration at path sets up.
type visit struct {
	*env
	path string
}

// isOfSocket refuses to examine what the configuration sets up by --socket of another
// supervisor: of the one that runs it would be said that its socket is gone.
func (v visit) isOfSocket(ctx context.Context) error {
	if v.socket == "" {
		return nil
	}
	cfg, err := socketOf(v.path, v.asker())
	if err != nil {
		return nil // what is wrong with it is among what is found
	}
	stateOf := func(c *control.Client) control.Status {
		defer c.Close()
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		s, _ := c.Status(ctx)
		return s
	}
	if s := stateOf(control.NewClient(v.socket)); s.StateDir != "" {
		if s.StateDir == cfg.StateDir {
			return nil
		}
		return usageErrorf("--socket %s is that of another supervisor (PID %d, with the state directory %s) than %s sets up (%s): leave it out, or name that one's configuration with -c",
			v.socket, s.PID, s.StateDir, v.path, cfg.StateDir)
	}
	own := clientOf(cfg)
	if s := stateOf(own); s.StateDir == cfg.StateDir {
		return usageErrorf("nobody answers on --socket %s, and the supervisor (PID %d) of %s does on %s: leave out --socket", v.socket, s.PID, v.path, own.Socket())
	}
	return nil
}

// setUp is what there is to examine. Where the configuration can't be used as a whole, it
// is what that tells all the same.
func (v visit) setUp(ctx context.Context) (doctor.Setup, error) {
	if err := v.refuseBorrowed(v.path); err != nil {
		return doctor.Setup{}, err
	}
	r, err := v.check(ctx, v.path, seenStateDir, false)
	if err != nil {
		return doctor.Setup{}, err
	}
	s := doctor.Setup{Now: v.now(), Config: v.path, Version: programVersion()}
	if absolute, err := filepath.Abs(v.path); err == nil {
		s.Config = absolute
	}
	secretsLack := false
	if r.cfg == nil {
		secretsLack = v.addWhatIsRead(ctx, &r)
	}
	if r.cfg != nil {
		s.StateDir, s.FallbackDir = r.cfg.StateDir, r.cfg.FallbackDir
		s.Brokers, s.Locks, s.Stop = brokersOf(r), locksOf(r.cfg), supervisor.LongestStop(r.cfg)
	}
	switch d := r.StateDir; {
	case d == nil:
		s.Unseen = "the configuration does not tell where; tokenkeeper status --socket PATH asks one"
	case d.answered != nil:
		s.Status = d.answered
	case d.silent, d.InUseBy != 0:
		s.Silent = d.State
		r.Problems = slices.DeleteFunc(r.Problems, func(f finding) bool { return f.Key == "state_dir" }) // told by who holds its lock
	case !d.OK: // it is among the problems, and may be another user's
		s.Unseen = "its state directory can't be looked into"
	}
	if s.Status != nil {
		s.OldProgram = oldProgram(*s.Status, v.now())
	}
	const asThat = "as the service: tokenkeeper check --unit " + usualUnit
	switch {
	case !secretsLack:
	case s.Status != nil && s.Status.ConfigProblem == "": // what runs could read them
		s.Unchecked = "all that check finds: the secrets of the configuration are not here, but the supervisor has them; " + asThat
	case s.Status == nil && s.Unseen == "" && installedUnit("/", os.Geteuid(), v.getenv) != "":
		s.Unchecked = "all that check finds: the secrets of the configuration are not here, but the service may have them; " + asThat
	}
	if s.Unchecked != "" {
		r.Problems = slices.DeleteFunc(r.Problems, func(f finding) bool { return f.Key != "state_dir" })
	}
	s.Checked = append(checked(doctor.Fault, r.Problems, manyProblems, fewProblems), checked(doctor.Warning, r.Warnings, many, 1)...)
	return s, nil
}

// addWhatIsRead reads of a configuration that can't be used what can be read, and says
// whether that is all but its secrets, which whoever asks need not have.
func (v visit) addWhatIsRead(ctx context.Context, r *report) (secretsLack bool) {
	cfg, _, err := config.Load(v.secretless(v.path))
	if secretsLack = err == nil; secretsLack {
		r.Providers = builtinsOf(ctx, cfg)
	} else if cfg, err = socketOf(v.path, v.asker()); err != nil {
		return false // it does not even tell where its supervisor is
	}
	r.cfg = cfg
	r.addStateDir(seenStateDir(ctx, cfg), cfg)
	return secretsLack
}

// brokersOf are the token endpoints, up to a number.
func brokersOf(r report) (all []doctor.Broker) {
	for _, w := range brokerWays(r.cfg, r.Providers) {
		if oauth.AddressFault(w.address) == "" && len(all) < mostProxies { // else it is among the problems
			all = append(all, doctor.Broker{Account: w.account, Address: w.address})
		}
	}
	return all
}

// locksOf are those of the shared files, each once.
func locksOf(cfg *config.Config) (all []doctor.Lock) {
	known := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		if c := cfg.Accounts[name].SharedFile; c != nil && !known[c.Lock] {
			known[c.Lock] = true
			all = append(all, doctor.Lock{Account: name, Path: c.Lock})
		}
	}
	return all
}

// checked are the findings of check, of which those that say the same of many are told
// once.
func checked(severity doctor.Severity, findings []finding, most, shown int) (all []doctor.Finding) {
	findings, more := briefFindings(findings, most, shown)
	for i, f := range findings {
		remedy := f.Hint
		f.Hint = ""
		text := f.String()
		if more[i] > 0 {
			text += fmt.Sprintf(" (and %d more like it)", more[i])
		}
		all = append(all, doctor.Finding{Severity: severity, Message: text, Remedy: remedy})
	}
	return all
}

// renderDiagnosis is a diagnosis as a person reads it.
func renderDiagnosis(d doctor.Diagnosis, p painter, width int) string {
	var b strings.Builder
	looks := map[doctor.Severity]style{doctor.Fault: red, doctor.Warning: yellow}
	number := map[doctor.Severity]int{}
	for _, f := range d.Findings {
		number[f.Severity]++
		b.WriteString(led(p, width, looks[f.Severity], string(f.Severity)+":", f.Line()))
	}
	for _, what := range d.Unexamined {
		b.WriteString(led(p, width, dim, "not examined:", what))
	}
	var counts []string
	if n := number[doctor.Fault]; n > 0 {
		counts = append(counts, counted(n, "fault", "faults"))
	}
	if n := number[doctor.Warning]; n > 0 {
		counts = append(counts, counted(n, "warning", "warnings"))
	}
	last := map[int]style{exitOK: green, verdict.Warning: yellow, verdict.Critical: red}[d.Code]
	text := cmp.Or(strings.Join(counts, ", "), "all is well: "+strings.Join(d.Examined, ", "))
	writeBroken(&b, p, cell{text, last}, "", "  ", proseIn(width))
	return b.String()
}
