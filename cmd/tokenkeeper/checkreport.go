package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

func (r *report) addAccounts(cfg *config.Config) {
	described, ways := map[string]sdk.Description{}, map[string]string{}
	for _, p := range r.Providers {
		described[p.Name] = p.description
		if p.Error == "" {
			ways[p.Name] = wayBy(p.description)
		}
	}
	sinks := sinksOfAccounts(cfg)
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		a := cfg.Accounts[name]
		got := accountReport{Name: name, Provider: a.Provider, Way: ways[a.Provider], Sinks: append([]string{}, sinks[name]...)}
		if got.Way != control.WayLogin {
			got.Refresh = refreshRule(a.Refresh, described[a.Provider])
		}
		r.Accounts = append(r.Accounts, got)
		if got.Way != "" {
			budgetCheck{r, a, described[a.Provider]}.warn()
		}
		if a.Refresh.BeforeExpiry > 0 || a.Refresh.Every > 0 {
			d := described[a.Provider]
			for _, cut := range schedule.Cut(wishesOf(a.Refresh, d), d.Policy.AccessLifetime) {
				r.Warnings = append(r.Warnings, finding{
					File: r.Config, Line: r.where().of("accounts", name, "refresh"), Key: "accounts." + name + ".refresh", Message: cut,
				})
			}
		}
	}
}

// addLeft tells of the accounts of which a token is stored and which are not configured.
func (r *report) addLeft(left []control.ListedAccount, now time.Time) {
	for _, l := range left {
		what, todo := l.LeftText(now)
		r.Warnings = append(r.Warnings, finding{File: r.Config, Line: r.where().of("accounts"), Key: "accounts", Message: what, Hint: todo})
	}
}

// refreshRule is when an account is refreshed, in words: as far as the life of
// the provider's access tokens, if it tells that, allows what the configuration
// asks for.
func refreshRule(c config.Refresh, d sdk.Description) string {
	holds := schedule.Allowed(budgetedOf(c, d), d.Policy.AccessLifetime)
	var rule []string
	if holds.BeforeExpiry > 0 {
		rule = append(rule, moment.Span(holds.BeforeExpiry)+" before expiry")
	}
	if holds.Every > 0 {
		rule = append(rule, "every "+moment.Span(holds.Every))
	}
	if holds.Budget > 0 {
		rule = append(rule, fmt.Sprintf("%d times an hour", timesAnHour(holds.Budget)))
	}
	return strings.Join(rule, " or ")
}

// nextToken is how and when an account gets its next token.
func nextToken(a accountReport) string {
	switch a.Way {
	case control.WayLogin:
		return "by hand" // a login, or an import where there is none
	case control.WayRenew:
		return "renewed " + a.Refresh
	case control.WayMint:
		return "minted " + a.Refresh
	case control.WayRefresh:
		return "refreshed " + a.Refresh
	}
	return a.Refresh
}

// led is a text after a lead, which alone has that style: one line, or on a terminal of
// some width as many as it takes.
func led(p painter, width int, s style, lead, text string) string {
	line := lead + " " + text + "\n"
	if most := proseIn(width); width != whole && utf8.RuneCountInString(line) > most {
		var broken strings.Builder
		writeBroken(&broken, painter{}, cell{text, plain}, lead+" ", "  ", most)
		line = broken.String()
	}
	return p.paint(s, lead) + strings.TrimPrefix(line, lead)
}

// renderReport is a report as a person reads it, no wider than width. A brief one tells
// once what is alike of many accounts.
func renderReport(r report, p painter, width int, brief bool) string {
	var b strings.Builder
	say := func(s style, lead, text string) { b.WriteString(led(p, width, s, lead, text)) }
	say(dim, "configuration  ", r.Config)
	if r.StateDir != nil {
		state := r.StateDir.State
		if !r.StateDir.OK {
			state = "not usable, see below" // it is among the problems
		}
		say(dim, "state directory", fmt.Sprintf("%s (%s)", r.StateDir.Path, state))
		if line := machineLine(r.StateDir.Machine); line != "" {
			writeBroken(&b, p, cell{line, plain}, "machine         ", strings.Repeat(" ", 16), narrow)
		}
	}
	if len(r.Accounts) > 0 {
		b.WriteByte('\n')
		nextTokenTable(r.Accounts, brief).within(width).render(&b, p, 0, 1, 2, 3)
	}
	if len(r.Sinks) > 0 {
		b.WriteByte('\n')
		sinkTable(r.Sinks, brief).within(width).render(&b, p, 0, 1, 4, 5)
	}
	if len(r.Providers) > 0 {
		b.WriteByte('\n')
		plain := slices.Clone(r.Providers)
		for i := range plain {
			plain[i].Error = "" // it is among the problems
		}
		pluginTable(plain, width).render(&b, p, 0, 4, 5)
	}
	if len(r.SinkPlugins) > 0 {
		b.WriteByte('\n')
		sinkPluginTable(r.SinkPlugins, width).render(&b, p, 0, 1, 5)
	}
	b.WriteByte('\n')
	for _, who := range r.Trusts {
		writeBroken(&b, p, cell{who, plain}, "", "  ", narrow)
	}
	if line := r.userLine(); line != "" {
		writeBroken(&b, p, cell{line, yellow}, "", "  ", narrow)
	}
	if len(r.Untried) > 0 {
		writeBroken(&b, p, cell{untriedLine(r.Untried), dim}, "", "  ", narrow)
	}
	list := func(s style, lead string, findings []finding, most, shown int) {
		more := make([]int, len(findings))
		if brief {
			findings, more = briefFindings(findings, most, shown)
		}
		for i, f := range findings {
			say(s, lead, f.String())
			if more[i] > 0 {
				writeNote(&b, p, cell{fmt.Sprintf("and %d more like it, which --verbose lists", more[i]), plain}, narrow)
			}
		}
	}
	list(yellow, "warning:", r.Warnings, many, 1)
	list(red, "problem:", r.Problems, manyProblems, fewProblems)
	switch n := len(r.Problems); {
	case n == 1:
		b.WriteString(p.paint(red, "1 problem") + "\n")
	case n > 1:
		b.WriteString(p.paint(red, fmt.Sprintf("%d problems", n)) + "\n")
	case len(r.Warnings) > 0:
		b.WriteString(p.paint(yellow, "it can run; "+counted(len(r.Warnings), "warning", "warnings")+", see above") + "\n")
	default:
		b.WriteString(p.paint(green, "everything is in order") + "\n")
	}
	return b.String()
}
