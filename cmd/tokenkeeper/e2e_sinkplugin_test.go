package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// folderSink as the first argument makes the tests' program a sink that keeps
// documents in a directory.
const folderSink = "folder-sink-for-tests"

// vaultYAML is a sink of that type, called name.
func vaultYAML(t *testing.T, name, dir string) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("  %s:\n    type: %s\n    command: [%q, %s]\n    settings: {dir: %q}\n    include_refresh_token: true\n    restore: true\n",
		name, folder.Type, exe, folderSink, dir)
}

// The disk is lost, and nobody has to log in: the account's token comes back
// from a sink, and it is the newest one, or the broker would refuse it.
func TestTokenComesBackFromSink(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	vault := t.TempDir()
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 5m")+"sinks:\n"+vaultYAML(t, "vault", vault))
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	first := startRun(t, s)
	if err := <-first.forceRefresh(saxoAccount); err != nil {
		t.Fatal(err)
	}
	first.delivered(saxoAccount, 2)
	first.Stop()
	s.awaitGone(t)
	if err := os.RemoveAll(s.path("state")); err != nil {
		t.Fatal(err)
	}

	// The sink can't answer at first, which is told and tried again.
	if err := folder.Break(vault, folder.Failing); err != nil {
		t.Fatal(err)
	}
	second := startRun(t, s)
	second.until(func(control.Status) bool {
		return strings.Contains(second.Stderr(), "could not be asked for the one that it holds")
	})
	if err := folder.Break(vault, ""); err != nil {
		t.Fatal(err)
	}
	st := second.until(func(st control.Status) bool { return account(st, saxoAccount).State == "valid" })
	if a := account(st, saxoAccount); a.Version != 1 || a.Origin != "restore" {
		t.Errorf("the account came back as %+v", a)
	}
	if err := <-second.forceRefresh(saxoAccount); err != nil {
		t.Fatalf("the token that came back is not the newest: %v", err)
	}
	second.delivered(saxoAccount, 2)
	if now, ok := saxo.Current(saxoAccount); !ok || !strings.Contains(folder.Stored(vault, saxoAccount), now.RefreshToken) {
		t.Error("the sink does not hold the newest token")
	}
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
	if !strings.Contains(second.Stderr(), "has no usable token here") {
		t.Error("the operator is not told")
	}
}

// The state file is lost and an old backup takes its place: the older token
// neither replaces the newer one that a sink holds nor goes to the broker, but
// the newer one comes back.
func TestOldBackupDoesNotReplaceNewerTokenInSink(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	vault := t.TempDir()
	s := newSite(t, "accounts:\n"+accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 5m")+"sinks:\n"+vaultYAML(t, "vault", vault))
	s.logInEarlier(t, saxo, saxoAccount, format.SaxoCache, time.Minute)
	file := filepath.Join(s.path("state"), store.FileName)
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	first := startRun(t, s)
	for version := uint64(2); version < 4; version++ {
		if err := <-first.forceRefresh(saxoAccount); err != nil {
			t.Fatal(err)
		}
		first.delivered(saxoAccount, version)
	}
	first.Stop()
	s.awaitGone(t)
	err = errors.Join(os.Remove(file), os.WriteFile(file+".old", old, 0o600), folder.Break(vault, folder.Failing))
	if err != nil {
		t.Fatal(err)
	}

	second := startRun(t, s)
	second.until(func(control.Status) bool {
		return strings.Contains(second.Stderr(), "goes on with what a backup held of it") &&
			strings.Contains(second.Stderr(), "could not be asked")
	})
	if err := folder.Break(vault, ""); err != nil {
		t.Fatal(err)
	}
	st := second.until(func(st control.Status) bool { return account(st, saxoAccount).Origin == "restore" })
	if a := account(st, saxoAccount); a.Version != 2 || a.State != "valid" {
		t.Errorf("the account came back as %+v", a)
	}
	if err := <-second.forceRefresh(saxoAccount); err != nil {
		t.Fatalf("the token that came back is not the newest: %v", err)
	}
	second.delivered(saxoAccount, 3)
	if strings.Contains(second.Stderr(), "has version 1 of account") {
		t.Error("the backup's token was delivered over the newer one")
	}
	if reused := saxo.Reused(); len(reused) > 0 {
		t.Errorf("a refresh token was used twice: %v", reused)
	}
}

// The store has a token that the broker has refused, and a sink that another
// machine wrote to has a good one: the dead one does not take its place, but
// the other way round.
func TestDeadTokenIsReplacedFromSink(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 10 * time.Minute, RefreshLifetime: time.Hour})
	accounts := "accounts:\n" + accountYAML(saxoAccount, saxo, saxo.TokenURL(), "every: 5m")
	s := newSite(t, accounts+filesYAML)
	s.logInEarlier(t, saxo, saxoAccount, format.SaxoCache, time.Minute)
	first := startRun(t, s)
	saxo.Revoke(saxoAccount)
	if err := <-first.forceRefresh(saxoAccount); err == nil {
		t.Fatal("a revoked grant was refreshed")
	}
	first.until(func(st control.Status) bool { return account(st, saxoAccount).State == "needs_login" })
	first.Stop()

	vault := t.TempDir()
	g := saxo.Grant(saxoAccount)
	if err := os.WriteFile(filepath.Join(vault, saxoAccount), tokenFileOf(t, g, format.JSON, g.IssuedAt), 0o600); err != nil {
		t.Fatal(err)
	}
	s.configure(t, accounts+"sinks:\n"+vaultYAML(t, "vault", vault))
	second := startRun(t, s)
	h := second.follow()
	second.until(func(st control.Status) bool { return account(st, saxoAccount).State == "valid" })
	if err := <-second.forceRefresh(saxoAccount); err != nil {
		t.Fatalf("after the restore: %v", err)
	}
	a := account(second.until(func(st control.Status) bool {
		a := account(st, saxoAccount)
		return len(a.Sinks) == 1 && a.Sinks[0].Version == a.Version
	}), saxoAccount)
	if a.Version != 3 {
		t.Errorf("the account is %+v", a)
	}
	if now, ok := saxo.Current(saxoAccount); !ok || !strings.Contains(folder.Stored(vault, saxoAccount), now.RefreshToken) {
		t.Error("the sink does not hold the newest token")
	}
	if strings.Contains(second.Stderr(), "has version 1 of account") {
		t.Error("the dead token was delivered")
	}
	if failed := h.since(0, func(e event.Event) bool { return e.Type == event.RefreshFailed }); len(failed) > 0 {
		t.Errorf("refreshes failed: %v", failed)
	}
}

// A sink whose process is killed again and again is felt neither by the
// providers nor by the other sinks, and has everything in the end.
func TestKilledSinkPluginDisturbsNobody(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: time.Hour})
	vault := t.TempDir()
	s := newSite(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 10m")+filesYAML+vaultYAML(t, "vault", vault))
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	r := startRun(t, s)
	sinkOf := func(st control.Status, name string) control.Delivery {
		for _, d := range account(st, schwabAccount).Sinks {
			if d.Sink == name {
				return d
			}
		}
		return control.Delivery{}
	}
	r.until(func(st control.Status) bool { return sinkOf(st, "vault").Version == 1 })
	bystander := r.providerProcess("schwab")
	version := uint64(1)
	for range 4 {
		// The provider's process and the sink's are the supervisor's children.
		for _, pid := range s.processes(t) {
			command, _ := os.ReadFile("/proc/" + pid + "/cmdline")
			if strings.Contains(string(command), folderSink) {
				var n int
				if _, err := fmt.Sscan(pid, &n); err == nil {
					_ = unix.Kill(n, unix.SIGKILL)
				}
			}
		}
		if err := <-r.forceRefresh(schwabAccount); err != nil {
			t.Fatalf("a refresh while a sink's process was dead: %v", err)
		}
		version++
		r.until(func(st control.Status) bool { return sinkOf(st, "files").Version == version })
	}
	st := r.until(func(st control.Status) bool { return sinkOf(st, "vault").Version == version })
	if is := provider(st, "schwab"); is.PID != bystander.pid || is.Crashes != 0 {
		t.Errorf("the provider's process: %+v", is)
	}
	sinks, err := r.Client.Sinks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range sinks.Sinks {
		if k.Name == "vault" && (k.Process == nil || k.Process.Crashes == 0) {
			t.Errorf("the sink's process was never killed: %+v", k.Process)
		}
	}
	now, ok := schwab.Current(schwabAccount)
	if !ok || !strings.Contains(folder.Stored(vault, schwabAccount), now.AccessToken) {
		t.Error("the sink does not hold the newest token")
	}
	r.Stop()
	s.awaitGone(t)
}
