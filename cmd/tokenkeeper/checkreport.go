package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
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
		rule = append(rule, span(before)+" before expiry")
	}
	if c.Every > 0 {
		rule = append(rule, "every "+span(c.Every))
	}
	return strings.Join(rule, " or ")
}

func (r *report) addSinks(cfg *config.Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Sinks)) {
		s := cfg.Sinks[name]
		r.Sinks = append(r.Sinks, sinkReport{
			Name: name, Type: s.Type, Accounts: accountsOf(cfg, s), To: destination(s), RefreshToken: s.IncludeRefreshToken,
		})
	}
}

// accountsOf are the names of the accounts whose tokens go to a sink.
func accountsOf(cfg *config.Config, s config.Sink) []string {
	if len(s.Accounts) > 0 {
		return s.Accounts
	}
	return slices.Sorted(maps.Keys(cfg.Accounts))
}

func destination(s config.Sink) string {
	switch {
	case s.File != nil:
		return s.File.Path
	case s.UnixSocket != nil:
		return s.UnixSocket.Path
	case s.Webhook != nil:
		return withoutQuery(s.Webhook.URL)
	case s.Exec != nil && s.Exec.Signal != nil:
		return s.Exec.Signal.Name + " to " + s.Exec.Signal.PIDFile
	case s.Exec != nil:
		return s.Exec.Command[0]
	default:
		return never
	}
}

// withoutQuery leaves out of an address what may be a secret.
func withoutQuery(url string) string {
	before, _, cut := strings.Cut(url, "?")
	if scheme, rest, ok := strings.Cut(before, "://"); ok {
		if host, path, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
			_, host, _ = strings.Cut(host, "@")
			before = scheme + "://" + host + "/" + path
		}
	}
	if cut {
		return before + "?…"
	}
	return before
}

// renderReport is a report as a person reads it.
func renderReport(r report, p painter) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", p.paint(dim, "configuration  "), r.Config)
	if r.StateDir != nil {
		fmt.Fprintf(&b, "%s %s (%s)\n", p.paint(dim, "state directory"), r.StateDir.Path, r.StateDir.State)
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
		t := table{head: []string{"SINK", "TYPE", "REFRESH TOKEN", "TO", "ACCOUNTS"}}
		for _, s := range r.Sinks {
			carries := cell{"not sent", plain}
			if s.RefreshToken {
				carries = cell{"SENT", yellow}
			}
			t.rows = append(t.rows, row{cells: []cell{{s.Name, plain}, {s.Type, plain}, carries, {s.To, plain}, {strings.Join(s.Accounts, ", "), plain}}})
		}
		b.WriteByte('\n')
		t.render(&b, p, 0, 3, 4)
	}
	if len(r.Providers) > 0 {
		b.WriteByte('\n')
		plain := slices.Clone(r.Providers)
		for i := range plain {
			plain[i].Error = "" // it is among the problems
		}
		pluginTable(plain).render(&b, p, 5)
	}
	b.WriteByte('\n')
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
