// Package doctor examines a machine and what a supervisor is set up with on it, for a
// person who asks what is wrong. It changes nothing, sends nothing of an account, and
// takes no lock.
package doctor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// Severity of a finding: a fault keeps tokens from being refreshed or delivered, now or
// soon; a warning wants somebody to look.
type Severity string

const (
	Fault   Severity = "fault"
	Warning Severity = "warning"
)

// Finding is one thing that is wrong, and what to do.
type Finding struct {
	Severity Severity `json:"severity"`
	// About is the examination that has found it.
	About   string `json:"about"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`
}

// Line is a finding in one line, less its severity.
func (f Finding) Line() string {
	if f.Remedy == "" {
		return f.About + ": " + f.Message
	}
	return f.About + ": " + f.Message + "; " + f.Remedy
}

// Diagnosis is all that was found, the worst first.
type Diagnosis struct {
	// Status and Code are those of a [verdict.Verdict]: critical is that there is a
	// fault.
	Status   string    `json:"status"`
	Code     int       `json:"exit_code"`
	Findings []Finding `json:"findings"`
	// Examined is what was looked at, and Unexamined what was not, with the reason.
	Examined   []string `json:"examined"`
	Unexamined []string `json:"unexamined"`
}

// Setup is what there is to examine.
type Setup struct {
	Now time.Time
	// Config is the absolute path of the configuration.
	Config string
	// StateDir and FallbackDir are "" if there is none, or the configuration does not tell.
	StateDir, FallbackDir string
	// Status is what the supervisor has said that runs with the state directory; nil: none
	// answers. Then Silent is what is known of one that is there, and Unseen why nobody can
	// tell whether one is; both "": none runs.
	Status         *control.Status
	Silent, Unseen string
	// Stop is how long a stop may take, so that every answer is heard out; 0: nobody knows.
	Stop    time.Duration
	Brokers []Broker
	Locks   []Lock
	// Version is that of the program that asks.
	Version string
	// OldProgram says that the supervisor goes on with a program in whose place there is
	// another one; "": there is none.
	OldProgram string
	// Checked are the findings of "tokenkeeper check", and Unchecked is why there are
	// none; "": it was run.
	Checked   []Finding
	Unchecked string
}

// examination looks at one thing. Its error is why it could not, or not at all of it.
type examination struct {
	of   string
	look func(context.Context) ([]Finding, error)
}

// patience is how long all examinations may take together. A look at a disk that does not
// answer is left behind.
const patience = 15 * time.Second

// Diagnose makes all examinations at once.
func (w World) Diagnose(ctx context.Context, s Setup) Diagnosis {
	return examine(ctx, []examination{
		{"supervisor", func(context.Context) ([]Finding, error) { return w.supervisor(s) }},
		{"brokers and clock", func(ctx context.Context) ([]Finding, error) { return w.brokers(ctx, s) }},
		{"disk", func(context.Context) ([]Finding, error) { return w.disk(s) }},
		{"locks", func(ctx context.Context) ([]Finding, error) { return w.locks(ctx, s), nil }},
		{"service", func(ctx context.Context) ([]Finding, error) { return w.service(ctx, s) }},
		{"kernel", func(context.Context) ([]Finding, error) { return w.kernel(), nil }},
		{"configuration", func(context.Context) ([]Finding, error) { return configuration(s) }},
	})
}

// examine waits for everybody, and for nobody longer than its patience.
func examine(ctx context.Context, all []examination) Diagnosis {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	type outcome struct {
		found []Finding
		err   error
	}
	var looks sync.WaitGroup
	over := make([]chan outcome, len(all))
	for i, e := range all {
		over[i] = make(chan outcome, 1)
		looks.Go(func() {
			found, err := e.look(ctx)
			over[i] <- outcome{found, err}
		})
	}
	everybody := make(chan struct{})
	go func() { looks.Wait(); close(everybody) }()
	select {
	case <-everybody:
	case <-ctx.Done():
	}
	d := Diagnosis{Findings: []Finding{}, Examined: []string{}, Unexamined: []string{}}
	for i, e := range all {
		var o outcome
		select {
		case o = <-over[i]:
			d.Examined = append(d.Examined, e.of)
		default:
			o.found = []Finding{{Severity: Warning, Message: fmt.Sprintf("looking at it has not come to an end within %s", patience),
				Remedy: "a disk or a network drive may hang: look at dmesg"}}
		}
		for _, f := range o.found {
			f.About = cmp.Or(f.About, e.of)
			d.Findings = append(d.Findings, f)
		}
		if o.err != nil {
			d.Unexamined = append(d.Unexamined, o.err.Error())
		}
	}
	d.judge()
	return d
}

// judge puts the worst first, and says what it comes to.
func (d *Diagnosis) judge() {
	slices.SortStableFunc(d.Findings, func(a, b Finding) int { return cmp.Compare(a.Severity, b.Severity) }) // fault, warning
	d.Status, d.Code = "ok", 0
	if len(d.Findings) > 0 {
		d.Status, d.Code = "warning", verdict.Warning
		if d.Findings[0].Severity == Fault {
			d.Status, d.Code = "critical", verdict.Critical
		}
	}
}
