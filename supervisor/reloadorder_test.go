package supervisor

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/webhook"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// configurations are what TestReloadsInAnyOrder goes over between: with an account or a
// sink more or less, with something changed of one of them, of all, or of what is nobody's
// own, and with another place for tokens to go to.
func configurations(c *consumers) map[string]string {
	plain := worldYAML(c)
	accounts, _, _ := strings.Cut(plain, "sinks:\n")
	more := plain + c.sinkYAML("more", "")
	instead := func(old, replacement string) string { return strings.Replace(plain, old, replacement, 1) }
	without := func(begin string) string {
		_, line, _ := strings.Cut(plain, begin)
		line, _, _ = strings.Cut(line, "\n")
		return instead(begin+line+"\n", "")
	}
	return map[string]string{
		"plain":             plain,
		"main changed":      instead("before_expiry: 5m", "before_expiry: 6m"),
		"both changed":      strings.ReplaceAll(plain, "before_expiry: 5m", "before_expiry: 7m"),
		"main is gone":      without("  main:"),
		"side is gone":      without("  side:"),
		"another client":    instead("client_id: app-key", "client_id: other-key"),
		"another provider":  instead("provider: one", "provider: two"),
		"a sink more":       more,
		"that sink changed": plain + c.sinkYAML("more", ", accounts: [side]"),
		"the sink changed":  instead("proxy: none", "proxy: none, headers: {X-Other: one}"),
		"another address":   instead("/hook", "/elsewhere"),
		"addresses swapped": accounts + "sinks:\n" + c.sinkAt("hook", "more", "") + c.sinkAt("more", "hook", ""),
		"an account more":   instead("accounts:\n", "accounts:\n  third: {provider: two, client_id: app-key, client_secret: app-secret}\n"),
		"alerts":            plain + "alerts: {repeat: 3h}\n",
		"everything":        plain + "trust: [root, nobody]\n",
		"a mistake":         plain + "nonsense: 1\n",
		"a fixed key":       plain + "fallback_dir: other\n",
	}
}

// everyAccount are those that have a token in some of them.
func everyAccount() []string { return []string{"main", "side", "third"} }

// reloadStep is what happens next.
type reloadStep struct {
	To    string        // the configuration
	Kill  string        // the provider whose process dies just before
	Down  string        // whose consumer takes nothing from here to the next step
	Ask   []string      // accounts of which a refresh is asked for just before
	Held  time.Duration // for how long the broker keeps the first of these waiting
	After bool          // it is spent by then
	// In the middle of that:
	Late  []string      // accounts of which a refresh is asked for
	Login string        // an account to which a person logs in
	Steer string        // an account that is paused, or goes on
	Pause time.Duration // until the next step
}

func (s reloadStep) String() string {
	return fmt.Sprintf("{%s, kill %q, down %q, ask %v, held %s after %t, late %v, login %q, steer %q, pause %s}",
		s.To, s.Kill, s.Down, s.Ask, s.Held, s.After, s.Late, s.Login, s.Steer, s.Pause)
}

// rarely is mostly nothing.
func rarely(words ...string) *rapid.Generator[string] {
	return rapid.SampledFrom(append(make([]string, 2*len(words)), words...))
}

// Whatever configurations follow one another, and whatever is under way meanwhile: no
// refresh token is used twice or shown to a broker that has not granted it, no answer is
// lost, no consumer gets an older version after a newer one, the same one twice, one that is
// not meant for it, or misses the newest, and a sink of which nothing differs is never made
// anew.
func TestReloadsInAnyOrder(t *testing.T) {
	names := slices.Sorted(maps.Keys(configurations(&consumers{})))
	some := rapid.SampledFrom([][]string{nil, {"main"}, {"side"}, {"main", "side"}, {"third"}})
	steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) reloadStep {
		return reloadStep{
			To:    rapid.SampledFrom(names).Draw(rt, "to"),
			Kill:  rarely("one", "two").Draw(rt, "kill"),
			Down:  rarely("hook", "more", "elsewhere").Draw(rt, "down"),
			Ask:   some.Draw(rt, "ask"),
			Held:  rapid.SampledFrom([]time.Duration{0, time.Second, 20 * time.Second}).Draw(rt, "held"),
			After: rapid.Bool().Draw(rt, "after"),
			Late:  some.Draw(rt, "late"),
			Login: rarely("main", "side").Draw(rt, "login"),
			Steer: rarely("main", "side").Draw(rt, "steer"),
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
	o := &reloads{world: w, moved: map[string]bool{}, person: make(chan struct{}, 1)}
	o.allow()
	for n, step := range append(steps, reloadStep{To: "an account more"}) {
		for _, fault := range o.step(step) {
			faults = append(faults, fmt.Sprintf("step %d: %s", n, fault))
		}
	}
	o.asked.Wait()
	for _, name := range everyAccount() {
		if _, err := w.backend().Resume(t.Context(), name, event.Caller{}); err != nil {
			faults = append(faults, err.Error())
		}
	}
	faults = append(faults, o.unlikeStatus()...) // before the next tokens hide it
	time.Sleep(20 * time.Minute)
	synctest.Wait()
	return append(append(faults, o.missed()...), w.wrong()...)
}

// step does one, and says what was wrong.
func (o *reloads) step(s reloadStep) (faults []string) {
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	o.consumers.lose(s.Down)
	if s.Kill != "" {
		o.kill(s.Kill)
	}
	var gate *brokersim.Gate
	for i, account := range o.there(s.Ask) {
		if i == 0 && s.Held > 0 {
			gate = o.hold(account, s.After)
		}
		o.asked.Go(func() { o.ask(account) })
	}
	o.asked.Go(func() {
		time.Sleep(s.Held / 2)
		for _, account := range o.there(s.Late) {
			o.asked.Go(func() { o.ask(account) })
		}
		time.Sleep(s.Held / 2)
		if gate != nil {
			gate.Release()
		}
	})
	o.write(configurations(o.consumers)[s.To])
	before := o.roster.Now()
	o.meanwhile(s)
	synctest.Wait()
	d, err := o.Reload(o.t.Context())
	mistaken := s.To == "a mistake" || s.To == "a fixed key"
	if (err != nil) != mistaken {
		wrong("%v", err)
	}
	o.allow()
	now := o.roster.Now()
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
	if _, there := now.Config.Accounts["third"]; there && o.version("third") == 0 {
		o.logIn("third")
	}
	time.Sleep(s.Pause)
	synctest.Wait()
	return append(faults, o.unlikeStatus()...)
}

// reloads is a world that goes through steps.
type reloads struct {
	*world
	asked sync.WaitGroup
	// person has room for who logs in: the broker's newest login is the last that is brought.
	person chan struct{}
	// at is the path of each sink that there ever was, and moved the paths to which one came
	// from another path, where it delivers once more what the other one had.
	at    map[string]string
	moved map[string]bool
}

// there are those of the accounts that are configured.
func (o *reloads) there(accounts []string) (there []string) {
	for _, name := range accounts {
		if _, ok := o.roster.Now().Config.Accounts[name]; ok {
			there = append(there, name)
		}
	}
	return there
}

// hold has the broker keep the account's next request waiting, after it has processed it or
// before.
func (w *world) hold(account string, after bool) *brokersim.Gate {
	if after {
		return w.brokerOf(account).HoldNextAnswer(account)
	}
	return w.brokerOf(account).HoldNext(account)
}

// ask asks for a refresh as a person does, who waits for it. It may be refused: what came of
// it is seen at the broker.
func (w *world) ask(account string) { _, _ = w.backend().Refresh(w.t.Context(), account, true) }

// meanwhile has a person act halfway, however long that takes.
func (o *reloads) meanwhile(s reloadStep) {
	is, err := o.load()
	if err == nil {
		o.allow(is)
	}
	o.asked.Go(func() {
		time.Sleep(s.Held / 2)
		k, ok := o.roster.KeeperOf(s.Steer)
		if !ok {
			return
		}
		if st, _ := k.Status(s.Steer); st.Pause == nil {
			_, _ = o.backend().Pause(o.t.Context(), control.PauseRequest{Account: s.Steer})
		} else {
			_, _ = o.backend().Resume(o.t.Context(), s.Steer, event.Caller{})
		}
	})
	o.asked.Go(func() {
		time.Sleep(s.Held / 2)
		o.person <- struct{}{}
		defer func() { <-o.person }()
		if s.Login != "" && o.own(s.Login) {
			o.logInWhenever(s.Login)
		}
	})
}

// own says whether the account is at its own broker with its own client, now and after what
// the file says.
func (o *reloads) own(account string) bool {
	own := map[string]string{"main": "one", "side": "two"}[account]
	is, err := o.load()
	for _, cfg := range []*config.Config{o.roster.Now().Config, is} {
		if a := cfg.Accounts[account]; err != nil || a.Provider != own || a.ClientID != "app-key" {
			return false
		}
	}
	return true
}

// logInWhenever is logIn by a person who tries again as long as the configuration is being
// read.
func (w *world) logInWhenever(account string) {
	g := w.brokerOf(account).Grant(account)
	for {
		k, ok := w.roster.KeeperOf(account)
		if !ok {
			w.t.Errorf("nobody keeps account %s", account)
			return
		}
		_, err := k.Import(w.t.Context(), store.Record{Account: account, LoginAt: g.IssuedAt, Token: sdk.Token{
			AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken), IssuedAt: g.IssuedAt, Lifetime: g.ExpiresIn,
		}}, true)
		if !errors.Is(err, refresh.ErrRetired) {
			if err != nil {
				w.t.Error(err)
			}
			return
		}
		time.Sleep(time.Second)
	}
}

// lose has a consumer, and no other, take nothing.
func (c *consumers) lose(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = map[string]bool{path: true}
}

// pathOf is where a sink delivers to.
func pathOf(s config.Sink) string {
	return path.Base(s.Destination.(*webhook.Config).URL)
}

// allow lets consumers get what the configuration gives them, and also what those do
// that may be the next one.
func (o *reloads) allow(also ...*config.Config) {
	if o.at == nil {
		o.at = map[string]string{}
	}
	may, moved := map[string]bool{}, maps.Clone(o.moved)
	for _, cfg := range append(also, o.roster.Now().Config) {
		for name, s := range cfg.Sinks {
			p := pathOf(s)
			if was, known := o.at[name]; known && was != p {
				moved[p] = true
			}
			o.at[name] = p
			for _, a := range cfg.SinkAccounts(s) {
				may[p+" "+a.Name] = true
			}
		}
	}
	o.moved = moved
	o.consumers.mu.Lock()
	defer o.consumers.mu.Unlock()
	o.consumers.may = func(path, account string) bool { return may[path+" "+account] }
	o.consumers.once = func(path string) bool { return !moved[path] }
}

// unlikeStatus is what a consumer lacks of what the status says that he has.
func (o *reloads) unlikeStatus() (faults []string) {
	now := o.roster.Now()
	for name, worker := range now.Workers {
		for _, a := range now.Config.SinkAccounts(now.Config.Sinks[name]) {
			told := worker.Status(a.Name).Version
			o.consumers.mu.Lock()
			has := o.consumers.had[pathOf(now.Config.Sinks[name])+" "+a.Name].Version
			o.consumers.mu.Unlock()
			if has < told {
				faults = append(faults, fmt.Sprintf("sink %s has version %d of account %s, and its status says %d", name, has, a.Name, told))
			}
		}
	}
	return faults
}

// missed is what consumers lack.
func (o *reloads) missed() (faults []string) {
	now := o.roster.Now()
	for name := range now.Workers {
		for _, a := range now.Config.SinkAccounts(now.Config.Sinks[name]) {
			if why := o.holds(pathOf(now.Config.Sinks[name]), a.Name); why != "" {
				faults = append(faults, why)
			}
		}
	}
	return faults
}

// sameAccounts says whether both get the tokens of the same accounts.
func sameAccounts(a, b *sink.Worker) bool {
	return !slices.ContainsFunc(everyAccount(), func(account string) bool { return a.Takes(account) != b.Takes(account) })
}
