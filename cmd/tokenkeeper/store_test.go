package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What a person does with the store while no supervisor runs: look, check, back up, and
// give a backup back once the store is gone. No token is shown.
func TestStoreVerbs(t *testing.T) {
	w := newWorld(t, twoAccounts)
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	state := w.state
	run := func(code int, args ...string) string {
		t.Helper()
		got := command(t, "", append(args, "-c", w.config)...)
		if got.code != code {
			t.Fatalf("%v: exit code %d, want %d: %s%s", args, got.code, code, got.stdout, got.stderr)
		}
		return got.stdout + got.stderr
	}
	s, err := store.Open(state, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rec := store.Record{Account: "main", Provider: "saxo"}.Next(
		sdk.Token{AccessToken: sdk.NewSecret("SECRET-a"), RefreshToken: sdk.NewSecret("SECRET-r")}, store.OriginImport, "", time.Now())
	if err := errors.Join(s.Commit(t.Context(), rec), s.Intend(t.Context(), store.Intent{Account: "main", Attempt: "OPEN", Version: 1})); err != nil {
		t.Fatal(err)
	}
	if out := run(exitFailure, "store", "backup"); !strings.Contains(out, "another supervisor") {
		t.Errorf("backing up beside a supervisor: %s", out)
	}
	for _, want := range []string{"journal 3.0", "main: version 1 by import", "attempt OPEN is not settled", "sealed: 0"} {
		if out := run(exitOK, "store", "inspect"); !strings.Contains(out, want) || strings.Contains(out, "SECRET") {
			t.Errorf("inspected: no %q in\n%s", want, out)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	var made storeBackup
	if err := json.Unmarshal([]byte(run(exitOK, "store", "backup", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept.db")
	b, err := os.ReadFile(made.Backup)
	if err := errors.Join(err, os.WriteFile(kept, b, 0o600)); err != nil {
		t.Fatal(err)
	}
	if out := run(exitOK, "store", "check"); strings.Count(out, "good, ") < 2 {
		t.Errorf("checked:\n%s", out)
	}
	nowhere := filepath.Join(t.TempDir(), "nosuch")
	if out := run(exitFailure, "store", "restore", nowhere); !strings.Contains(out, "there is no file "+nowhere+": name a backup") || !strings.Contains(out, made.Backup) {
		t.Errorf("restoring from nothing: %s", out)
	}
	if out := run(exitFailure, "store", "restore", kept); !strings.Contains(out, "versions never go back") {
		t.Errorf("restoring a good store: %s", out)
	}

	file := filepath.Join(state, store.FileName)
	s, err = store.Open(state, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Abandon(t.Context(), "main", "OPEN", store.Basis{Version: 1}, store.Health{}), s.Close()); err != nil {
		t.Fatal(err)
	}
	run(exitOK, "store", "backup")
	aside := filepath.Join(t.TempDir(), "aside.db")
	if err := os.Rename(file, aside); err != nil {
		t.Fatal(err)
	}
	if out := run(exitFailure, "store", "check"); !strings.Contains(out, "missing; the next start restores it") {
		t.Errorf("checked one that is gone:\n%s", out)
	}
	if out := run(exitOK, "store", "restore", kept); !strings.Contains(out, "goes further") {
		t.Errorf("restored an older backup than there is:\n%s", out)
	}
	if err := errors.Join(os.WriteFile(kept+".junk", []byte("no store at all"), 0o600), os.Rename(aside, file)); err != nil {
		t.Fatal(err)
	}
	if out := run(exitFailure, "store", "inspect", kept+".junk"); !strings.Contains(out, "is damaged, or no store") || strings.Contains(strings.ReplaceAll(out, kept, ""), "0001") { // a path may hold that by chance
		t.Errorf("inspected what is none:\n%s", out)
	}
	if err := os.Truncate(file, 10_000); err != nil {
		t.Fatal(err)
	}
	if out := run(exitFailure, "store", "check"); !strings.Contains(out, "damaged") {
		t.Errorf("checked a damaged one:\n%s", out)
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	run(exitOK, "store", "restore", kept)
	s, err = store.Open(state, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if r := s.Restored(); r == nil || len(r.Accounts) != 1 || r.Accounts[0].Newest {
		t.Errorf("restored: %+v", r)
	}
}

// What a copy of a store says that somebody else has written, no terminal obeys.
func TestInspectedStoreIsHarmless(t *testing.T) {
	const bad = "\x1b]52;c;YQ==\a\u009b2J\u202e\r"
	var out bytes.Buffer
	e := testEnv("", &out, new(bytes.Buffer))
	r := store.Report{Path: "copy.db", Transactions: 1, Machine: "m" + bad, Accounts: []store.ReportAccount{{Account: "main" + bad, Version: 1, Origin: "refresh"}, {Account: "side"}}}
	if err := e.printReport(r); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\a\u009b\u202e\r") || !strings.Contains(text, "\nmain]52;c;YQ==2J") || !strings.Contains(text, ": version 1 by refresh") || !strings.Contains(text, "\nside: no token\n") {
		t.Errorf("%q", text)
	}
}

// The store that goes on in the fallback directory is the one that is looked at, checked,
// backed up and not written over.
func TestStoreVerbsKnowTheFallback(t *testing.T) {
	fallback := filepath.Join(t.TempDir(), "fallback")
	w := newWorld(t, twoAccounts+"fallback_dir: "+fallback+"\n")
	t.Setenv("TK_TEST_ID", "app-key")
	t.Setenv("TK_TEST_SECRET", "app-secret-value")
	run := func(code int, args ...string) string {
		t.Helper()
		got := command(t, "", append(args, "-c", w.config)...)
		if got.code != code {
			t.Fatalf("%v: exit code %d, want %d: %s%s", args, got.code, code, got.stdout, got.stderr)
		}
		return got.stdout + got.stderr
	}
	if out := run(exitFailure, "store", "check"); !strings.Contains(out, "missing; the next start restores it") || strings.Contains(out, fallback) {
		t.Errorf("checked what is nowhere:\n%s", out)
	}
	there := store.Places(w.state, fallback)[1]
	s, err := store.Open(there, store.Options{Now: func() time.Time { return now.Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	rec := store.Record{Account: "main", Provider: "saxo"}.Next(
		sdk.Token{AccessToken: sdk.NewSecret("SECRET-a"), RefreshToken: sdk.NewSecret("SECRET-r")}, store.OriginImport, "", time.Now())
	if err := errors.Join(s.Commit(t.Context(), rec), s.Backup(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
	kept := store.Backups(there)[0]
	if out := run(exitOK, "store", "check"); !strings.Contains(out, "moves back to the state directory") || strings.Contains(out, "missing") || strings.Count(out, "good, ") != 2 {
		t.Errorf("checked:\n%s", out)
	}
	if out := run(exitOK, "store", "inspect"); !strings.Contains(out, there) || !strings.Contains(out, "main: version 1 by import") {
		t.Errorf("inspected:\n%s", out)
	}
	if out := run(exitFailure, "store", "restore", kept); !strings.Contains(out, "the store in "+there+" is good") {
		t.Errorf("restored over a good store:\n%s", out)
	}
	if out := run(exitOK, "store", "backup"); !strings.HasPrefix(out, filepath.Join(w.state, "backup")) {
		t.Errorf("backed up:\n%s", out)
	}
	if out := run(exitOK, "store", "check"); strings.Contains(out, "moves back") || !strings.Contains(out, filepath.Join(w.state, store.FileName)) {
		t.Errorf("checked where it has moved back:\n%s", out)
	}
}
