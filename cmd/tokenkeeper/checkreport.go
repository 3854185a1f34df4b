package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func (r *report) addAccounts(cfg *config.Config) {
	policy := map[string]time.Duration{}
	for _, p := range r.Providers {
		policy[p.Name] = p.description.Policy.BeforeExpiry
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		a := cfg.Accounts[name]
		got := accountReport{Name: name, Provider: a.Provider, Refresh: refreshRule(a.Refresh, policy[a.Provider]), Sinks: []string{}}
		for _, sink := range slices.Sorted(maps.Keys(cfg.Sinks)) {
			if slices.Contains(accountsOf(cfg, cfg.Sinks[sink]), name) {
				got.Sinks = append(got.Sinks, sink)
			}
		}
		r.Accounts = append(r.Accounts, got)
	}
}

// refreshRule is when an account is refreshed, in words.
func refreshRule(c config.Refresh, policy time.Duration) string {
	before := c.BeforeExpiry
	if before == 0 {
		before = policy
	}
	var rule []string
	if before > 0 {
		rule = append(rule, moment.Span(before)+" before expiry")
	}
	if c.Every > 0 {
		rule = append(rule, "every "+moment.Span(c.Every))
	}
	return strings.Join(rule, " or ")
}

// renderReport is a report as a person reads it.
func renderReport(r report, p painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.paint(dim, "configuration  "), r.Config)
	if r.StateDir != nil {
		fmt.Fprintf(&b, "%s %s (%s)\n", p.paint(dim, "state directory"), r.StateDir.Path, r.StateDir.State)
		if line := machineLine(r.StateDir.Machine); line != "" {
			fmt.Fprintf(&b, "%s %s\n", p.paint(dim, "machine        "), line)
		}
	}
	if len(r.Accounts) > 0 {
		t := table{head: []string{"ACCOUNT", "PROVIDER", "REFRESHED", "SINKS"}}
		for _, a := range r.Accounts {
			t.rows = append(t.rows, row{cells: cells(a.Name, a.Provider, orNever(a.Refresh), orNever(strings.Join(a.Sinks, ", ")))})
		}
		b.WriteByte('\n')
		t.render(&b, p, 0, 3)
	}
	if len(r.Sinks) > 0 {
		b.WriteByte('\n')
		sinkTable(r.Sinks).render(&b, p, 0, 4, 5)
	}
	if len(r.Providers) > 0 {
		b.WriteByte('\n')
		plain := slices.Clone(r.Providers)
		for i := range plain {
			plain[i].Error = "" // it is among the problems
		}
		pluginTable(plain).render(&b, p, 5)
	}
	if len(r.SinkPlugins) > 0 {
		b.WriteByte('\n')
		sinkPluginTable(r.SinkPlugins).render(&b, p, 5)
	}
	b.WriteByte('\n')
	for _, who := range r.Trusts {
		fmt.Fprintf(&b, "%s\n", who)
	}
	for _, f := range r.Warnings {
		fmt.Fprintf(&b, "%s %s\n", p.paint(yellow, "warning:"), f)
	}
	for _, f := range r.Problems {
		fmt.Fprintf(&b, "%s %s\n", p.paint(red, "problem:"), f)
	}
	switch n := len(r.Problems); {
	case n == 1:
		b.WriteString(p.paint(red, "1 problem") + "\n")
	case n > 1:
		b.WriteString(p.paint(red, fmt.Sprintf("%d problems", n)) + "\n")
	default:
		b.WriteString(p.paint(green, "everything is in order") + "\n")
	}
	return b.String()
}
