package supervisor

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
)

// process is what runs of a provider now.
func (w *world) process(provider string) *instance {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running[provider]
}

func (i *instance) isGone() bool {
	select {
	case <-i.exited:
		return true
	default:
		return false
	}
}

// The process of a provider goes on when its accounts come, change or go, with the numbers
// that it has; one whose own settings change is started anew, and so are all for a key that
// is nobody's own.
func TestReloadKeepsTheProcess(t *testing.T) {
	c := newConsumers(t)
	plain := worldYAML(c)
	const fresh = "  fresh: {provider: one, client_id: app-key, client_secret: app-secret}\nsinks:"
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		for _, step := range []struct {
			name, yaml string
			startsAnew []string
		}{
			{name: "an account comes", yaml: strings.Replace(plain, "sinks:", fresh, 1)},
			{name: "one changes", yaml: strings.Replace(strings.Replace(plain, "5m", "6m", 1), "sinks:", fresh, 1)},
			{name: "one goes", yaml: plain},
			{name: "another secret", yaml: strings.ReplaceAll(plain, "app-secret", "[app-secret, second]")},
			{name: "the provider's own", yaml: plain + "providers: {one: {max_in_flight: 3}}\n", startsAnew: []string{"one"}},
			{name: "nobody's own", yaml: plain + "trust: [1]\n", startsAnew: []string{"one", "two"}},
		} {
			before := map[string]*instance{"one": w.process("one"), "two": w.process("two")}
			gate := w.brokers["one"].HoldNextAnswer("main")
			version := w.version("main")
			go w.ask("main")
			<-gate.Entered
			go func() {
				time.Sleep(10 * time.Second)
				if before["one"].isGone() {
					t.Errorf("%s: the process is gone that hears an answer out", step.name)
				}
				gate.Release()
			}()
			w.write(step.yaml)
			w.accept()
			synctest.Wait()
			if v, why := w.version("main"), w.holds("hook", "main"); v != version+1 || why != "" {
				t.Errorf("%s: version %d, after %d: %s", step.name, v, version, why)
			}
			for name, was := range before {
				anew := slices.Contains(step.startsAnew, name)
				if now := w.process(name); (now != was) != anew || was.isGone() != anew || now.isGone() {
					t.Errorf("%s: the process of %s was started anew: %t; the one of before is gone: %t, the one of now: %t", step.name, name, now != was, was.isGone(), now.isGone())
				}
			}
			for _, p := range w.status().Providers {
				if p.State != process.Running || p.Generation != 1 || p.Restarts != 0 || p.Crashes != 0 {
					t.Errorf("%s: %+v", step.name, p.Status)
				}
			}
			w.goesOn("main", "side")
		}
		// It is as any other process: a person can have another one.
		w.write(plain)
		w.accept()
		synctest.Wait()
		w.write(strings.Replace(plain, "5m", "6m", 1))
		was := w.process("one")
		w.accept()
		got, err := w.roster.Now().Members["one"].Restart(t.Context())
		if err != nil || w.process("one") == was || !was.isGone() || got.Generation != 2 || got.OldPID == 0 {
			t.Errorf("%+v, %v", got, err)
		}
		w.goesOn("main", "side")
	})
}

// The supervisor ends while a reload waits for an answer: the process that was to go on ends,
// too, and what was answered is stored.
func TestNoProcessIsLeftByAReloadAtTheEnd(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		was := w.process("one")
		gate := w.brokers["one"].HoldNextAnswer("main")
		go w.ask("main")
		<-gate.Entered
		w.write(strings.Replace(worldYAML(c), "5m", "6m", 1))
		reloaded := make(chan struct{})
		go func() {
			defer close(reloaded)
			_, _ = w.Reload(t.Context())
		}()
		time.Sleep(time.Second)
		go func() {
			time.Sleep(time.Second)
			gate.Release()
		}()
		w.end()
		<-reloaded
		synctest.Wait()
		if now := w.process("one"); !was.isGone() || !now.isGone() {
			t.Errorf("the process is gone: %t, and one that was started since: %t", was.isGone(), now.isGone())
		}
	})
}
