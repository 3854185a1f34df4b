package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// worldYAML is an account of each provider, and a sink of their tokens.
func worldYAML(c *consumers) string {
	return `accounts:
  main: {provider: one, client_id: app-key, client_secret: app-secret, refresh: {before_expiry: 5m}}
  side: {provider: two, client_id: app-key, client_secret: app-secret, refresh: {before_expiry: 5m}}
sinks:
` + c.sinkYAML("hook", "")
}

// started is a world of worldYAML whose accounts have a token.
func started(t *testing.T, c *consumers) *world {
	t.Helper()
	w := newWorld(t, c, worldYAML(c))
	w.logIn("main")
	w.logIn("side")
	return w
}

// refuse reads the configuration again, which must fail, and returns why.
func (w *world) refuse(want ...string) {
	w.t.Helper()
	_, err := w.Reload(w.t.Context())
	if !errors.Is(err, ErrReload) {
		w.t.Fatalf("it was read again: %v", err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("%q is not in: %v", text, err)
		}
	}
}

// accept reads the configuration again.
func (w *world) accept() {
	w.t.Helper()
	if _, err := w.Reload(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// goesOn lets two hours pass, in which every token is refreshed and delivered, and none is
// used twice.
func (w *world) goesOn(accounts ...string) {
	w.t.Helper()
	before := map[string]uint64{}
	for _, name := range accounts {
		before[name] = w.version(name)
	}
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	for _, name := range accounts {
		if now := w.version(name); now < before[name]+7 {
			w.t.Errorf("account %s went from version %d to %d in two hours", name, before[name], now)
		}
		if why := w.holds("hook", name); why != "" {
			w.t.Error(why)
		}
	}
	for _, fault := range w.wrong() {
		w.t.Error(fault)
	}
}

// A provider can't be made anew after the old one was ended: those that were go on, what
// was sent before is heard out, sinks are not touched, and the next reload works.
func TestReloadThatCantBeMadeIsUndone(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		before := w.roster.Now()
		changed := strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m")
		changed = strings.Replace(changed, "{provider: one,", "{shared_file: {path: bots/token.json, format: json}, provider: one,", 1) +
			c.sinkYAML("more", "")
		w.write(changed)
		if err := os.Mkdir(w.path("bots"), 0o700); err != nil {
			t.Fatal(err)
		}
		w.checked = func() error { return os.Symlink("elsewhere", w.path("bots/token.json")) } // which was not there when it was tried

		gate := w.brokers["one"].HoldNextAnswer("main")
		refreshed := make(chan error, 1)
		k, _ := w.roster.KeeperOf("main")
		go func() {
			_, err := k.Refresh(t.Context(), "main", true)
			refreshed <- err
		}()
		<-gate.Entered
		go func() {
			time.Sleep(10 * time.Second)
			gate.Release()
		}()
		begun := time.Now()
		w.refuse("provider one: account main: ", "it is a symbolic link")
		if took := time.Since(begun); took < 10*time.Second {
			t.Errorf("it did not wait for the request that was open, but %s", took)
		}
		if err := <-refreshed; err != nil {
			t.Errorf("the refresh meanwhile: %v", err)
		}
		synctest.Wait()

		now := w.roster.Now()
		if now.Config != before.Config || now.Workers["hook"] != before.Workers["hook"] || len(now.Workers) != 1 {
			t.Error("it goes on with another configuration, or with other sinks")
		}
		w.mustRun()
		if lacks := now.Lacking(); len(lacks) > 0 {
			t.Errorf("nobody keeps the accounts of %v", lacks)
		}
		if told := w.alerted(); len(told) != 1 || !strings.Contains(told[0], "symbolic link") {
			t.Errorf("the alerts: %q", told)
		}
		if st := w.status(); !st.ConfigChanged || !strings.HasPrefix(st.ConfigReloadError, "provider one: account main: ") || !st.ConfigReloadFailedAt.Equal(time.Now()) {
			t.Errorf("the status says of the configuration: changed %t, %q at %s", st.ConfigChanged, st.ConfigReloadError, st.ConfigReloadFailedAt)
		}
		w.goesOn("main", "side")

		w.checked = nil
		w.write(strings.ReplaceAll(strings.Replace(changed, "shared_file: {path: bots/token.json, format: json}, ", "", 1), "6m", "7m"))
		w.accept()
		synctest.Wait()
		if told := w.alerted(); len(told) > 0 {
			t.Errorf("the alerts after a reload that worked: %q", told)
		}
		w.goesOn("main", "side")
		if why := w.holds("more", "main"); why != "" {
			t.Error(why)
		}
	})
}

// Who asks for a reload over the control API learns where what is wrong stands.
func TestReloadTellsProblems(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		w.write(worldYAML(c) + "nonsense: 1\n")
		_, err := w.backend().Reload(t.Context())
		refused := (*control.Error)(nil)
		if !errors.As(err, &refused) || refused.Code != control.CodeConflict || len(refused.Problems) != 1 || refused.Problems[0].Key != "nonsense" || refused.Problems[0].Line == 0 {
			t.Errorf("%+v", err)
		}
	})
}

// What a reload refuses by what a provider says of the file is no change to recommend.
func TestDifferenceTellsWhatAReloadRefuses(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m"))
		if d, err := w.backend().ConfigDifference(t.Context()); err != nil || len(d.Problems) > 0 || len(d.Accounts.Changed) != 2 {
			t.Errorf("one that can be used: %+v, %v", d, err)
		}
		w.checked = func() error { return errors.New("provider one refuses that") }
		w.refuse("provider one refuses that")
		if d, err := w.backend().ConfigDifference(t.Context()); err != nil || !d.Changed || len(d.Problems) != 1 || d.Problems[0] != "provider one refuses that" || !d.IsZero() {
			t.Errorf("%+v, %v", d, err)
		}
		w.checked = nil
	})
}

// A destination that is not there yet keeps nobody from going on with the file: what is in
// the way of what comes or changes is told before and after, and of nothing else.
func TestReloadTellsWhatIsInTheWay(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		yaml := worldYAML(c) + "  bot: {type: exec, accounts: [main], command: [/nonexistent/bot]}\n  hand: {type: exec, accounts: [main], command: [/nonexistent/hand]}\n"
		w.write(yaml)
		want := []string{"sink bot: ", "/nonexistent/bot", "sink hand: ", "/nonexistent/hand"}
		tells := func(when string, lines []string) {
			t.Helper()
			for _, part := range want {
				if len(lines) != 2 || !strings.Contains(strings.Join(lines, "\n"), part) {
					t.Errorf("%s: %q is not in %q", when, part, lines)
				}
			}
		}
		d, err := w.backend().ConfigDifference(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tells("before", d.Obstacles)
		got, err := w.backend().Reload(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		tells("after", got.Obstacles)
		w.write(yaml + "alerts: {repeat: 3h}\n")
		if got, err = w.backend().Reload(t.Context()); err != nil || len(got.Obstacles) > 0 {
			t.Errorf("of what did not change: %q, %v", got.Obstacles, err)
		}
		w.goesOn("main", "side")
	})
}

// What panics while providers are made anew is a reload that failed: those that were go on.
func TestReloadThatPanicsIsUndone(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		launcher := w.opts.Seams.Launcher
		w.opts.Seams.Launcher = func(string) process.Launcher { panic("canary") }
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m"))
		w.refuse("goes on with the one that it has", "a panic of type string")
		synctest.Wait()
		if strings.Contains(w.log.String(), "canary") || !strings.Contains(w.log.String(), "reload_test.go") {
			t.Error("the log says what panicked, or not where")
		}
		w.mustRun()
		w.goesOn("main", "side")
		w.opts.Seams.Launcher = launcher
		w.accept()
		w.goesOn("main", "side")
	})
}

// A panic from which no way leads back ends the supervisor, and is no request that failed.
func TestReloadThatBreaksEndsTheSupervisor(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		w.breaks = errBroken
		defer w.end()
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m"))
		cfg, err := w.load()
		if err != nil {
			t.Fatal(err)
		}
		change, err := w.prepare(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		change.was = &roster.Present{Config: change.was.Config, Keepers: map[string]*refresh.Keeper{"one": nil}}
		if err := change.make(t.Context()); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "a panic of type runtime.error") {
			t.Errorf("%v", err)
		}
	})
}

// What an attempt has brought is only in the memory of who is about to be ended, because
// the store's disk is gone: that one goes on, and the reload is refused until the disk
// takes it. Nothing is sent twice, and no version is skipped.
func TestReloadWaitsForWhatIsNotStored(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		gate := w.brokers["one"].HoldNextAnswer("main")
		k, _ := w.roster.KeeperOf("main")
		refreshed := make(chan error, 1)
		go func() {
			_, err := k.Refresh(t.Context(), "main", true)
			refreshed <- err
		}()
		<-gate.Entered
		if err := os.Rename(w.path("disk"), w.path("gone")); err != nil {
			t.Fatal(err)
		}
		gate.Release()
		<-refreshed
		synctest.Wait()
		if v := w.version("main"); v != 2 {
			t.Fatalf("version %d is served from memory, want 2", v)
		}
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m"))
		before := w.roster.Now()
		for range 2 {
			w.refuse("what an attempt has brought account main is not stored yet", "try again once the disk takes it")
			synctest.Wait()
			if now, _ := w.roster.KeeperOf("main"); now != k || w.roster.Now().Config != before.Config {
				t.Error("another one keeps the account, in whose memory nothing is")
			}
			if why := w.holds("hook", "main"); why != "" {
				t.Error(why)
			}
			time.Sleep(time.Minute)
		}
		w.mustRun()
		if told := w.alerted(); len(told) != 1 || !strings.Contains(told[0], "is not stored yet") {
			t.Errorf("the alerts: %q", told)
		}
		if err := os.Rename(w.path("gone"), w.path("disk")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := w.brokers["one"].Account("main").Posts; n != 1 {
			t.Errorf("%d requests were made", n)
		}
		w.accept()
		synctest.Wait()
		if told := w.alerted(); len(told) > 0 {
			t.Errorf("the alerts after a reload that worked: %q", told)
		}
		w.goesOn("main", "side")
	})
}

// An alert of a reload that failed ends when the file is back to what runs.
func TestReloadThatIsTakenBack(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		w.write("acounts: {}\n")
		w.refuse("acounts")
		synctest.Wait()
		if told := w.alerted(); len(told) != 1 || !strings.Contains(told[0], "acounts") {
			t.Errorf("the alerts: %q", told)
		}
		w.write(worldYAML(c))
		time.Sleep(time.Minute)
		synctest.Wait()
		if told := w.alerted(); len(told) > 0 {
			t.Errorf("the alerts: %q", told)
		}
		if st := w.status(); st.ConfigReloadError != "" {
			t.Errorf("the status says %q", st.ConfigReloadError)
		}
		// Nobody is told of a reload that nobody waited for.
		ctx, cancel := context.WithCancel(t.Context())
		w.write(worldYAML(c) + "alerts: {repeat: 3h}\n")
		w.checked = func() error { cancel(); return errors.New("cut off") }
		if _, err := w.Reload(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if told := w.alerted(); len(told) > 0 {
			t.Errorf("the alerts: %q", told)
		}
	})
}

// An account that was renamed is told by its token, also by what sinks give back.
func TestARenamedAccountIsToldByItsToken(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		k, _ := w.roster.KeeperOf("main")
		st, _ := k.Status("main")
		fingerprint := st.Record.Token.RefreshToken.Fingerprint()
		if left := k.Left(fingerprint); left != "" {
			t.Errorf("it is left under the name %q before", left)
		}
		w.write(strings.Replace(worldYAML(c), "  main:", "  fresh:", 1))
		w.accept()
		k, _ = w.roster.KeeperOf("fresh")
		other, _ := w.roster.KeeperOf("side")
		if by, ours, others := k.Left(fingerprint), w.roster.Ours("fresh").Left(fingerprint), other.Left(fingerprint); by != "main" || ours != "main" || others != "" {
			t.Errorf("left under the name %q, to sinks %q, at another provider %q", by, ours, others)
		}
	})
}

// mustRun fails the test unless the first process of each provider runs.
func (w *world) mustRun() {
	w.t.Helper()
	for _, p := range w.status().Providers {
		if p.State != control.ProviderRunning || p.Generation != 1 {
			w.t.Errorf("provider %s: %+v", p.Name, p.Status)
		}
	}
}
