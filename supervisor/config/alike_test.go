package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// TestManyAlike: what is wrong in each of very many accounts is told some times, with
// places, and then its number; what else is wrong is told all the same.
func TestManyAlike(t *testing.T) {
	var yaml strings.Builder
	yaml.WriteString("accounts:\n")
	for i := range 20_000 {
		fmt.Fprintf(&yaml, "  a%d: {provider: shwab, client_id: id}\n", i)
	}
	yaml.WriteString("log: {level: loud}\nsinks:\n")
	for i := range 11 {
		fmt.Fprintf(&yaml, "  s%d: {type: file, path: /x/%[1]d, accounts: [b%[1]d]}\n", i)
	}
	_, _, err := config.Load(source(t, yaml.String()))
	var all config.Problems
	if !errors.As(err, &all) || len(all) != 20_012 {
		t.Fatalf("%d problems: %.200v", len(all), err)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range map[int]string{
		0:  `tokenkeeper.yaml:2:18: accounts.a0.provider: unknown provider "shwab"; did you mean "schwab"?`,
		9:  `tokenkeeper.yaml:11:18: accounts.a9.provider: unknown provider "shwab"; did you mean "schwab"?`,
		10: `  and 19990 more like it: "tokenkeeper check --json" lists them all`,
		11: `tokenkeeper.yaml:20002:14: log.level: unknown level "loud"; known here: debug, error, info, warn`,
		22: `  and 1 more like it: "tokenkeeper check --json" lists them all`,
	} {
		if i >= len(lines) || lines[i] != want {
			t.Errorf("line %d of %d, want %s\n%.2000s", i, len(lines), want, err)
		}
	}
	if len(lines) != 23 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestFlagProblems(t *testing.T) {
	src := source(t, account)
	src.Flags = map[string]string{"log.levl": "info", "accounts.a.refresh.max_failures": "x", "log": "info"}
	_, _, err := config.Load(src)
	want := `flags: accounts.a.refresh.max_failures: "x" is not a whole number
flags: log: no such key
flags: log.levl: no such key; did you mean "log.level"?`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestMissingFile(t *testing.T) {
	_, _, err := config.Load(config.Source{Path: "/nonexistent/tokenkeeper.yaml"})
	want := `/nonexistent/tokenkeeper.yaml: can't be read: no such file or directory; name the right file, or let "tokenkeeper init" write one`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, _, err = config.Load(config.Source{Path: "/"})
	if want := `/: can't be read: it is a folder; name a regular file`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
