package supervisor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An account is taken out while the broker has its request: the answer is heard out and
// stored, and is there when the account comes back.
func TestAnAccountThatGoesIsHeardOut(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		gate := w.brokers["one"].HoldNextAnswer("main")
		go w.ask("main")
		<-gate.Entered
		go func() {
			time.Sleep(10 * time.Second)
			gate.Release()
		}()
		w.write(configurations(c)["main is gone"])
		begun := time.Now()
		w.accept()
		if took := time.Since(begun); took < 10*time.Second {
			t.Errorf("it did not wait for the request that was open, but %s", took)
		}
		synctest.Wait()
		if _, kept := w.roster.KeeperOf("main"); kept {
			t.Error("the account is kept")
		}
		if rec, err := w.Supervisor.dir.Store().Load(t.Context(), "main"); err != nil || rec.Version != 2 {
			t.Errorf("version %d is stored, want 2: %v", rec.Version, err)
		}
		w.write(worldYAML(c))
		w.accept()
		synctest.Wait()
		if v, why := w.version("main"), w.holds("hook", "main"); v != 2 || why != "" {
			t.Errorf("it comes back with version %d: %s", v, why)
		}
		w.goesOn("main", "side")
	})
}

// A sink that can't be made, which only its constructor finds, leaves everything as it was.
func TestReloadWithASinkThatCantBeMade(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		before := w.roster.Now()
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m") +
			c.sinkYAML("more", "") + "  owned: {type: file, path: '{account}.json', owner: nobody-of-that-name}\n")
		w.refuse("sink owned: ", "nobody-of-that-name")
		synctest.Wait()
		if now := w.roster.Now(); now != before {
			t.Error("it goes on with others than before")
		}
		w.mustRun()
		w.goesOn("main", "side")
	})
}
