package supervisor

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// configurations are what TestReloadsInAnyOrder goes over between: with an account or a
// sink more, with something changed of one of them, of all, or of what is nobody's own.
func configurations(c *consumers) map[string]string {
	plain := worldYAML(c)
	return map[string]string{
		"plain":             plain,
		"main changed":      strings.Replace(plain, "before_expiry: 5m", "before_expiry: 6m", 1),
		"both changed":      strings.ReplaceAll(plain, "before_expiry: 5m", "before_expiry: 7m"),
		"a sink more":       plain + c.sinkYAML("more", ""),
		"that sink changed": plain + c.sinkYAML("more", ", accounts: [main]"),
		"the sink changed":  strings.Replace(plain, "proxy: none", "proxy: none, headers: {X-Other: one}", 1),
		"an account more":   strings.Replace(plain, "accounts:\n", "accounts:\n  third: {provider: two, client_id: app-key, client_secret: app-secret}\n", 1),
		"alerts":            plain + "alerts: {repeat: 3h}\n",
		"everything":        plain + "trust: [root, nobody]\n",
		"a mistake":         plain + "nonsense: 1\n",
		"a fixed key":       plain + "fallback_dir: other\n",
	}
}

// reloadStep is what happens next.
type reloadStep struct {
	To    string        // the configuration
	Ask   []string      // accounts of which a refresh is asked for just before
	Held  time.Duration // for how long the broker keeps the first of these waiting
	Late  []string      // accounts of which one is asked for in the middle of that
	After bool          // it is spent by then
	Pause time.Duration // until the next step
}

func (s reloadStep) String() string {
	return fmt.Sprintf("{%s, ask %v, held %s after %t, late %v, pause %s}", s.To, s.Ask, s.Held, s.After, s.Late, s.Pause)
}

// Whatever configurations follow one another, and whatever is under way meanwhile: no
// refresh token is used twice, no answer is lost, no consumer gets an older version after a
// newer one or misses the newest, and a sink of which nothing differs is never made anew.
func TestReloadsInAnyOrder(t *testing.T) {
	names := slices.Sorted(maps.Keys(configurations(&consumers{})))
	some := rapid.SampledFrom([][]string{nil, {"main"}, {"side"}, {"main", "side"}})
	steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) reloadStep {
		return reloadStep{
			To:    rapid.SampledFrom(names).Draw(rt, "to"),
			Ask:   some.Draw(rt, "ask"),
			Held:  rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(rt, "held"),
			Late:  some.Draw(rt, "late"),
			After: rapid.Bool().Draw(rt, "after"),
			Pause: rapid.SampledFrom([]time.Duration{0, time.Second, 16 * time.Minute}).Draw(rt, "pause"),
		}
	}), 1, 4)
	rapid.Check(t, func(rt *rapid.T) {
		all := steps.Draw(rt, "steps")
		c := newConsumers(t)
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = reloadAll(t, c, all) })
		for _, f := range faults {
			rt.Error(f)
		}
	})
}

// reloadAll goes through the steps and says what was wrong.
func reloadAll(t *testing.T, c *consumers, steps []reloadStep) (faults []string) {
	w := started(t, c)
	defer w.end()
	var asked sync.WaitGroup
	for n, step := range steps {
		wrong := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("step %d: ", n)+fmt.Sprintf(format, args...))
		}
		w.write(configurations(c)[step.To])
		for i, account := range step.Ask {
			if i == 0 && step.Held > 0 {
				gate := w.hold(account, step.After)
				asked.Go(func() {
					time.Sleep(step.Held)
					gate.Release()
				})
			}
			asked.Go(func() { w.ask(account) })
		}
		for _, account := range step.Late {
			asked.Go(func() {
				time.Sleep(step.Held / 2)
				w.ask(account)
			})
		}
		synctest.Wait()
		before := w.roster.Now()
		d, err := w.Reload(t.Context())
		mistaken := step.To == "a mistake" || step.To == "a fixed key"
		if (err != nil) != mistaken {
			wrong("%v", err)
		}
		now := w.roster.Now()
		if mistaken && now != before {
			wrong("something was made anew, although nothing was read again")
		}
		for name, was := range before.Workers {
			is, stays := now.Workers[name]
			differs := slices.ContainsFunc(d.Sinks.Changed, func(c difference.Change) bool { return c.Name == name })
			if stays && is != was && !differs && !slices.Contains(d.Keys, "trust") && sameAccounts(was, is) {
				wrong("sink %s was made anew by: %s", name, d)
			}
		}
		if _, there := now.Config.Accounts["third"]; there && w.version("third") == 0 {
			w.logIn("third")
		}
		time.Sleep(step.Pause)
		synctest.Wait()
	}
	asked.Wait()
	time.Sleep(20 * time.Minute)
	synctest.Wait()
	for name := range w.roster.Now().Config.Accounts {
		for sink, worker := range w.roster.Now().Workers {
			if why := w.holds(sink, name); why != "" && worker.Takes(name) {
				faults = append(faults, why)
			}
		}
	}
	return append(faults, w.wrong()...)
}

// hold has the broker keep the account's next request waiting, after it has processed it or
// before.
func (w *world) hold(account string, after bool) *brokersim.Gate {
	if after {
		return w.brokerOf(account).HoldNextAnswer(account)
	}
	return w.brokerOf(account).HoldNext(account)
}

// ask asks for a refresh as a person does, who waits for it.
func (w *world) ask(account string) {
	if _, err := w.backend().Refresh(w.t.Context(), account, true); err != nil {
		w.t.Error(err)
	}
}

// sameAccounts says whether both get the tokens of the same accounts.
func sameAccounts(a, b *sink.Worker) bool {
	for _, account := range []string{"main", "side", "third"} {
		if a.Takes(account) != b.Takes(account) {
			return false
		}
	}
	return true
}
