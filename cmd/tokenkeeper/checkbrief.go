package main

import (
	"fmt"
	"strings"
)

// many accounts, sinks or warnings of a kind are told once, with their number; of
// problems, each of which somebody has to mend, so many more, and then the first few.
const (
	many         = 20
	manyProblems = 100
	fewProblems  = 10
)

// nextTokenTable says how each account gets its next token, and where that goes.
func nextTokenTable(accounts []accountReport, brief bool) table {
	t := table{head: []string{"ACCOUNT", "PROVIDER", "NEXT TOKEN", "SINKS"}}
	if brief && len(accounts) > many {
		for _, alike := range grouped(accounts, func(a accountReport) string {
			return fmt.Sprint(a.Provider, "\n", nextToken(a), "\n", len(a.Sinks) == 0)
		}) {
			a := alike[0]
			where := each(alike, func(a accountReport) string { return strings.Join(a.Sinks, ", ") })
			name := each(alike, func(a accountReport) string { return a.Name })
			t.rows = append(t.rows, row{cells: cells(name.one("accounts"), a.Provider, orNever(nextToken(a)), orNever(where.one("different")))})
		}
		return t
	}
	for _, a := range accounts {
		t.rows = append(t.rows, row{cells: cells(a.Name, a.Provider, orNever(nextToken(a)), orNever(strings.Join(a.Sinks, ", ")))})
	}
	return t
}

// briefSinks are rows of the table of sinks in which those that are alike are one.
func briefSinks(sinks []sinkReport) []sinkRow {
	var rows []sinkRow
	for _, alike := range grouped(sinks, func(s sinkReport) string {
		return fmt.Sprint(s.Type, "\n", s.RefreshToken, "\n", s.Events, "\n", len(s.Accounts) == 0)
	}) {
		r := sinkRow{sinkReport: alike[0], accounts: each(alike, func(s sinkReport) string { return some(s.Accounts) }).one("different")}
		r.Name = each(alike, func(s sinkReport) string { return s.Name }).one("sinks")
		r.To = each(alike, func(s sinkReport) string { return s.To }).one("places")
		rows = append(rows, r)
	}
	return rows
}

// briefFindings are the findings less those that say the same of more than most
// accounts or sinks, but for the first of them, and how many more stand behind each.
func briefFindings(findings []finding, most, shown int) (first []finding, more []int) {
	for _, alike := range grouped(findings, finding.kind) {
		left := 0
		if len(alike) > most {
			left = len(alike) - shown
			alike = alike[:shown]
		}
		first, more = append(first, alike...), append(more, make([]int, len(alike))...)
		more[len(more)-1] = left
	}
	return first, more
}

// kind is what a finding says, whichever account, sink or provider it is about.
func (f finding) kind() string {
	parts := strings.SplitN(f.Key, ".", 3)
	if len(parts) < 3 {
		return strings.Join([]string{f.File, f.Key, f.Message, f.Hint}, "\n")
	}
	name := parts[1]
	parts[1] = "*"
	without := strings.NewReplacer(name, "*")
	return strings.Join([]string{f.File, strings.Join(parts, "."), without.Replace(f.Message), without.Replace(f.Hint)}, "\n")
}

// grouped puts together what has the same key, in the order in which it is met.
func grouped[T any](all []T, key func(T) string) [][]T {
	var groups [][]T
	at := map[string]int{}
	for _, one := range all {
		k := key(one)
		i, met := at[k]
		if !met {
			i = len(groups)
			at[k], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], one)
	}
	return groups
}

// texts are what several things have in one column.
type texts map[string]bool

func each[T any](all []T, text func(T) string) texts {
	t := texts{}
	for _, one := range all {
		t[text(one)] = true
	}
	return t
}

// one is the text if all have the same, else how many there are.
func (t texts) one(of string) string {
	if len(t) == 1 {
		for text := range t {
			return text
		}
	}
	return fmt.Sprintf("%d %s", len(t), of)
}

// sinkRow is a line of the table of sinks.
type sinkRow struct {
	sinkReport
	accounts string
}

// sinkTable says where everything goes, and which sinks carry the refresh
// token.
func sinkTable(sinks []sinkReport, brief bool) table {
	t := table{head: []string{"SINK", "TYPE", "REFRESH TOKEN", "EVENTS", "TO", "ACCOUNTS"}}
	var rows []sinkRow
	if brief && len(sinks) > many {
		rows = briefSinks(sinks)
	} else {
		for _, s := range sinks {
			rows = append(rows, sinkRow{s, some(s.Accounts)})
		}
	}
	for _, s := range rows {
		carries := cell{"not sent", plain}
		if s.RefreshToken {
			carries = cell{"SENT", yellow}
		}
		t.rows = append(t.rows, row{cells: []cell{
			{s.Name, plain}, {s.Type, plain}, carries, {strings.Join(s.Events, ", "), plain}, {s.To, plain}, {s.accounts, plain},
		}})
	}
	return t
}
