package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// renderStatus is a status as a person reads it, in now's time zone: one table
// of accounts, one of deliveries, one of providers, no wider than width, which is
// [narrow] at least, as long as the names are not absurdly long.
func renderStatus(s control.Status, now time.Time, p painter, width int) string {
	var b strings.Builder
	title, rest := "tokenkeeper "+s.Version, fmt.Sprintf("PID %d, up %s", s.PID, moment.Span(now.Sub(s.StartedAt)))
	if s.StateDir != "" { // a reader is not told, and neither of a provider
		rest += ", state in " + s.StateDir
	}
	most := proseIn(width)
	if utf8.RuneCountInString(title+"  "+rest) <= most {
		fmt.Fprintf(&b, "%s  %s\n", p.paint(bold, title), p.paint(dim, rest))
	} else {
		fmt.Fprintf(&b, "%s\n", p.paint(bold, title))
		writeBroken(&b, p, cell{rest, dim}, "  ", "  ", most)
	}
	if s.Observing {
		writeBroken(&b, p, cell{observedText, red}, "", "  ", most)
	}
	for _, line := range outOfDate(s, now) {
		writeBroken(&b, p, cell{line, yellow}, "", "  ", most)
	}
	for _, line := range control.LeftLines(s.Left, now) {
		writeBroken(&b, p, cell{line, yellow}, "", "  ", most)
	}
	if line := alertLine(s.Alerts, most); line != "" {
		writeBroken(&b, p, cell{line, red}, "", "  ", most)
	}
	if s.Heartbeat != nil {
		writeBroken(&b, p, heartbeatCell(*s.Heartbeat, now), "", "  ", most)
	}
	if m := s.Metrics; m != nil && m.CertificateProblem != "" {
		writeBroken(&b, p, cell{m.CertificateProblem, yellow}, "", "  ", most)
	}
	if m := s.Machine; m.Other {
		writeBroken(&b, p, cell{"store of another machine: " + m.Owner + ", this is " + m.Here, red}, "", "  ", most)
		fmt.Fprintf(&b, "%s\n", p.paint(red, "  stop Tokenkeeper there for good, then run here: tokenkeeper adopt"))
	}
	b.WriteByte('\n')
	if len(s.Accounts) >= manyAccounts {
		writeBroken(&b, p, cell{verdict.Summary(s.Accounts), plain}, "", "  ", width)
	}
	accounts := accountTable(s.Accounts, now, width)
	for n, a := range s.Accounts {
		if o := a.Outage; o != nil && (o.Short || len(s.Accounts) == 1) {
			accounts.rows[n].notes = append(accounts.rows[n].notes, outageNote(*o))
		}
	}
	accounts.render(&b, p, 0)
	if deliveries := deliveryTable(s, now, width); len(deliveries.rows) > 0 {
		b.WriteByte('\n')
		deliveries.render(&b, p, 0, 1, 2)
	}
	if len(s.Providers) > 0 {
		b.WriteByte('\n')
		providerTable(s.Providers, now, width).render(&b, p, 0, 1, 8)
	}
	return b.String()
}

// manyAccounts are so many that nobody counts their states in the table.
const manyAccounts = 10

func accountTable(accounts []control.Account, now time.Time, width int) table {
	t := table{head: []string{"ACCOUNT", "STATE", "VER", "ACCESS EXPIRES", "REFRESH EXPIRES", "LAST", "NEXT"}, width: width}
	for _, a := range accounts {
		next := moment.Relative(a.Due, now)
		switch {
		case a.InFlight:
			next = "now"
		case !a.Due.IsZero() && !a.Due.After(now):
			next = "due"
		}
		t.rows = append(t.rows, row{
			cells: []cell{
				{a.Name, plain},
				{a.State.Words(), accountStyle(a.State)},
				{version(a.Version), plain},
				{accessEnd(a, now), expiryStyle(a.Expiry, now)},
				{refreshEnd(a, now), expiryStyle(a.RefreshExpiry, now)},
				{moment.Relative(a.LastRefresh, now), plain},
				{next, plain},
			},
			notes: accountNotes(a, now),
		})
	}
	return t
}

func accountNotes(a control.Account, now time.Time) []cell {
	var notes []cell
	if a.LastError != "" {
		text := strings.TrimPrefix(a.LastError, "account "+a.Name+": ")
		if a.LastKind != "" {
			text = strings.ReplaceAll(string(a.LastKind), "_", " ") + ": " + text
		}
		if !a.LastFailure.IsZero() {
			text = moment.Relative(a.LastFailure, now) + ", " + text
		}
		if a.Failures > 0 {
			text = "failed " + event.InRow(a.Failures, a.MaxFailures) + "; " + text
		}
		notes = append(notes, cell{text, failureStyle(a.Failures, a.MaxFailures)})
	}
	if !a.AmbiguousSince.IsZero() {
		notes = append(notes, cell{"ambiguous since " + moment.Text(a.AmbiguousSince, now, false) +
			": a " + act(a.Way) + " was sent and nobody knows whether it was answered", yellow})
	}
	if a.Unread != "" {
		notes = append(notes, cell{"nobody could read the broker's answer: tokenkeeper spool inspect " + a.Unread, yellow})
	}
	if n := len(a.SetAside); n > 0 {
		notes = append(notes, cell{fmt.Sprintf("%d of the broker's answers set aside, until %s: tokenkeeper spool", n, moment.Text(a.SetAside[0].Until, now, false)), yellow})
	}
	if c := a.Candidate; c != nil {
		notes = append(notes, cell{fmt.Sprintf("%s has logged in %s, and this is the account of %s: tokenkeeper login %s --confirm, or --discard",
			c.Person, moment.Relative(c.LoginAt, now), a.Person, a.Name), yellow})
	}
	if a.Login != nil {
		notes = append(notes, cell{"a login is " + openText(*a.Login, now) + ": tokenkeeper login " + a.Name + " to go on, --cancel to end it", yellow})
		if a.Login.Unpolled != "" {
			notes = append(notes, cell{unpolledText(a.Login.Unpolled), yellow})
		}
	}
	if !a.RevokeUnknown.IsZero() {
		notes = append(notes, cell{unknownRevocation(a, now), yellow})
	}
	notes = append(notes, sessionNotes(a, now)...)
	if a.Pause != nil {
		notes = append(notes, pauseNote(a, now))
	}
	if a.Withheld != "" {
		notes = append(notes, cell{"not refreshed: " + a.Withheld, red})
	}
	if waits(a) {
		notes = append(notes, cell{"waits: " + a.WaitingText, yellow})
	}
	notes = append(notes, wouldNotes(a, now)...)
	if a.RefreshExpiryUnknown && a.State != control.AccountNeedsLogin {
		notes = append(notes, cell{"nobody knows when its login ends: tokenkeeper import " + a.Name + " --login-time TIME", yellow})
	}
	switch {
	case a.OldAccessDies && a.Way == control.WayRenew:
		notes = append(notes, cell{"a renewal ends the access token that consumers hold: let them take each new one at once", plain})
	case a.OldAccessDies && a.Way == control.WayMint:
		notes = append(notes, cell{"a mint ends the access token that consumers hold: let them take each new one at once", plain})
	case a.OldAccessDies:
		notes = append(notes, cell{"a refresh ends the access token that consumers hold, so it comes shortly before that ends", plain})
	}
	switch {
	case a.State == control.AccountNew && a.Advice == "" && a.Way == control.WayMint:
		notes = append(notes, cell{"no token yet: it is minted by itself", plain})
	case a.State == control.AccountNew && a.Advice != "":
		notes = append(notes, cell{"no token yet; " + a.Advice, yellow})
	case a.Advice != "":
		notes = append(notes, cell{a.Advice, red})
	}
	return notes
}

// pauseNote says of a paused account by whom that was wanted, and how it goes on.
func pauseNote(a control.Account, now time.Time) cell {
	text := "paused " + byWhom(*a.Pause, now) + "; nothing is asked of its broker before " + untilWhen(*a.Pause, a.Name, now)
	style := yellow
	if !a.Expiry.IsZero() && !a.Expiry.After(now) {
		style = red
	}
	return cell{text, style}
}

// sessionNotes say of a session how it is.
func sessionNotes(a control.Account, now time.Time) (notes []cell) {
	s := a.Session
	if s == nil || a.Pause != nil { // nothing is asked of it
		return nil
	}
	switch s.Life {
	case sdk.Competing:
		notes = append(notes, cell{"another login has taken its session " + moment.Relative(s.Since, now) + ": end that one; nothing is taken back by itself", yellow})
	case sdk.Gone:
		notes = append(notes, cell{"the broker says since " + moment.Text(s.Since, now, false) + " that its session is over", red})
	}
	if s.Failures > 0 {
		heard := "nothing was heard of its session yet"
		if !s.Heard.IsZero() {
			heard = "its session was heard of " + moment.Relative(s.Heard, now)
		}
		notes = append(notes, cell{fmt.Sprintf("%s; %s since failed: %s", heard, counted(s.Failures, "call", "calls"), s.LastError), yellow})
	} else if s.Unheard != "" {
		notes = append(notes, cell{"its session may die of idleness: " + s.Unheard, yellow})
	} else if s.Life == sdk.Alive && !s.Heard.IsZero() {
		notes = append(notes, cell{"its session is kept alive, heard of " + moment.Relative(s.Heard, now), plain})
	}
	return notes
}

// waits says whether the reason for which an account waits is news to who has
// read the rest of its lines.
func waits(a control.Account) bool {
	switch a.Waiting {
	case promise.None:
		return a.WaitingText != ""
	case promise.NextTurn, promise.NeedsLogin, promise.Withheld, promise.BackOff, promise.LoginOpen, promise.Paused:
		return false
	}
	return true
}

// deliveryTable shows what each sink has of each account, and the sinks without an
// account of which an alert speaks.
func deliveryTable(s control.Status, now time.Time, width int) table {
	t := table{head: []string{"SINK", "ACCOUNT", "TYPE", "HAS", "BEHIND", "DELIVERED", "NOTE"}, width: width}
	shown := map[string]bool{}
	for _, a := range s.Accounts {
		for _, d := range a.Sinks {
			shown[d.Sink] = true
			delivered := moment.Relative(d.DeliveredAt, now)
			if d.Latency > 0 && !d.DeliveredAt.IsZero() {
				delivered += " (" + latency(d.Latency) + ")"
			}
			behind := cell{strconv.FormatUint(d.Behind, 10), plain}
			if d.Behind > 0 {
				behind.style = yellow
			}
			r := row{cells: []cell{{d.Sink, plain}, {a.Name, plain}, {d.Type, plain}, {version(d.Version), plain}, behind, {delivered, plain}, {}}}
			switch {
			case d.Disabled:
				r.cells[6] = cell{"disabled", red}
			case d.Absent:
				r.cells[6] = cell{"not running", yellow}
			case d.Failures > 0:
				r.cells[6] = cell{fmt.Sprintf("%d failed", d.Failures), red}
			}
			if d.LastError != "" && !d.Absent && (d.Failures > 0 || d.Disabled) {
				r.notes = []cell{{d.LastError, r.cells[6].style}}
			}
			t.rows = append(t.rows, r)
		}
	}
	for _, a := range s.Alerts {
		if a.Sink != "" && !shown[a.Sink] && !a.Over() {
			t.rows = append(t.rows, row{
				cells: append(cells(a.Sink, moment.Never, moment.Never, moment.Never, moment.Never, moment.Never), cell{a.Type.Words(), red}),
				notes: []cell{{a.Message, red}},
			})
		}
	}
	return t
}

func providerTable(providers []control.Provider, now time.Time, width int) table {
	t := table{head: []string{"PROVIDER", "STATE", "PID", "GEN", "UPTIME", "RESTARTS", "CRASHES", "IN FLIGHT", "VERSION"}, width: width}
	for _, p := range providers {
		pid, uptime := moment.Never, moment.Never
		if p.PID != 0 {
			pid = strconv.Itoa(p.PID)
			if !p.StartedAt.IsZero() {
				uptime = moment.Span(now.Sub(p.StartedAt))
			}
		}
		r := row{cells: []cell{
			{p.Name, plain}, {string(p.State), providerStyle(p.State)}, {pid, plain}, {strconv.Itoa(p.Generation), plain}, {uptime, plain},
			{strconv.Itoa(p.Restarts), plain}, {strconv.Itoa(p.Crashes), plain}, {strconv.Itoa(p.InFlight), plain}, {orNever(p.Version), plain},
		}}
		if p.State != control.ProviderRunning {
			var note []string
			if !p.NextStart.IsZero() {
				note = append(note, "starts again "+moment.Relative(p.NextStart, now))
			}
			if p.LastError != "" {
				note = append(note, p.LastError)
			}
			if len(note) > 0 {
				r.notes = []cell{{strings.Join(note, ": "), providerStyle(p.State)}}
			}
		}
		if p.OldProgram != "" {
			r.notes = append(r.notes, cell{p.OldProgram, yellow})
		}
		t.rows = append(t.rows, r)
	}
	return t
}

func accountStyle(state refresh.State) style {
	switch state {
	case control.AccountValid:
		return green
	case control.AccountNew, control.AccountRetrying, control.AccountPaused:
		return yellow
	default:
		return red
	}
}

func providerStyle(state process.State) style {
	switch state {
	case control.ProviderRunning:
		return green
	case control.ProviderCrashing, control.ProviderParked:
		return red
	default:
		return yellow
	}
}

func expiryStyle(t, now time.Time) style {
	if !t.IsZero() && !t.After(now) {
		return red
	}
	return plain
}

func failureStyle(failures, most int) style {
	switch {
	case failures == 0:
		return plain
	case failures >= most:
		return red
	default:
		return yellow
	}
}

func version(v uint64) string {
	if v == 0 {
		return moment.Never
	}
	return "v" + strconv.FormatUint(v, 10)
}

func orNever(text string) string {
	if text == "" {
		return moment.Never
	}
	return text
}

// latency from durable to delivered.
func latency(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%dms", d.Milliseconds())
	default:
		return moment.Span(d)
	}
}
