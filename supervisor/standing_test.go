package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/explain"
	"github.com/tokenkeeper/tokenkeeper/supervisor/history"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// What every supervisor writes down is enough to explain by, when it has ended.
func TestHistoryIsWritten(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		time.Sleep(time.Hour)
		synctest.Wait()
		version, stopped := w.version("main"), time.Now()
		w.end()
		past, err := history.Read(w.path("disk/state"), nil)
		if err != nil {
			t.Fatal(err)
		}
		is := func(want event.Type) func(history.Line) bool {
			return func(l history.Line) bool { return l.Type == want }
		}
		for _, want := range []event.Type{history.RunBegan, history.Configured, history.Stands, event.ProviderStarted, event.Imported, event.Refreshed, event.Delivered, history.RunEnded} {
			if !slices.ContainsFunc(past.Lines, is(want)) {
				t.Errorf("%s is not in the history", want)
			}
		}
		if first, last := past.Lines[0], past.Lines[len(past.Lines)-1]; first.Type != history.RunBegan || last.Type != history.RunEnded {
			t.Errorf("it goes from %s to %s", first.Type, last.Type)
		}
		got := explain.Explain(past.Lines, explain.Question{Account: "main", At: stopped, Now: stopped})
		if got.Verdict != explain.Valid || got.Version != version || len(got.Deliveries) != 1 || got.Deliveries[0].Version != version {
			t.Errorf("when it was stopped: %+v", got)
		}
		later := stopped.Add(time.Hour)
		got = explain.Explain(past.Lines, explain.Question{Account: "main", At: later, Now: later, Silent: true})
		if got.Verdict != explain.None || len(got.Causes) != 1 || got.Causes[0].Class != "not_running" {
			t.Errorf("an hour later: %+v", got)
		}
	})
}

// An account that comes by a reload is told of from then on, too.
func TestReloadNotesHowNewAccountsStand(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		time.Sleep(time.Minute)
		w.write(strings.Replace(worldYAML(c), "sinks:", "  new: {provider: one, client_id: app-key, client_secret: app-secret}\nsinks:", 1))
		w.accept()
		time.Sleep(time.Minute)
		asked := time.Now()
		w.end()
		past, err := history.Read(w.path("disk/state"), nil)
		if err != nil {
			t.Fatal(err)
		}
		stood := map[string]int{}
		for _, l := range past.Lines {
			if l.Type == history.Stands {
				stood[l.Account]++
			}
		}
		if stood["main"] != 1 || stood["side"] != 1 || stood["new"] != 1 {
			t.Errorf("how accounts stand was noted so often: %v", stood)
		}
		got := explain.Explain(past.Lines, explain.Question{Account: "new", At: asked, Now: asked, Answers: true})
		if said := strings.Join(got.Sentences, " "); got.Verdict != explain.None || !strings.Contains(said, "had no token yet") || !strings.HasSuffix(said, "tokenkeeper import new FILE).") {
			t.Errorf("%s: %s", got.Verdict, said)
		}
	})
}

// Of more accounts than it is noted how they stand, it is of one whose revocation a death has
// cut off, and of it alone.
func TestOfManyThoseInDoubtAreNoted(t *testing.T) {
	c := newConsumers(t)
	yaml := strings.Builder{}
	yaml.WriteString("accounts:\n")
	for i := range history.MostStanding + 1 {
		fmt.Fprintf(&yaml, "  a%d: {provider: one, client_id: app-key, client_secret: app-secret}\n", i)
	}
	yaml.WriteString("sinks:\n" + c.sinkYAML("hook", ""))
	synctest.Test(t, func(t *testing.T) {
		asked := time.Now().Add(-time.Minute)
		w := newWorld(t, c, yaml.String(), func(w *world, _ *Options) {
			kept, err := store.Open(w.path("disk/state"), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = kept.Close() }()
			for _, name := range []string{"a7", "a8"} {
				rec := store.Record{Account: name, Provider: "one"}.Next(sdk.Token{
					AccessToken: sdk.NewSecret("access-" + name), RefreshToken: sdk.NewSecret("refresh-" + name), IssuedAt: asked, Lifetime: time.Hour,
				}, store.OriginLogin, "login-"+name, asked)
				if name == "a7" {
					rec.Health.RevokeAsked = asked
				}
				if err := kept.Commit(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
			}
		})
		time.Sleep(time.Second)
		at := time.Now()
		w.end()
		past, err := history.Read(w.path("disk/state"), nil)
		if err != nil {
			t.Fatal(err)
		}
		var stood []string
		for _, l := range past.Lines {
			if l.Type == history.Stands {
				stood = append(stood, l.Account)
			}
		}
		if !slices.Equal(stood, []string{"a7"}) {
			t.Errorf("it is noted of %v how they stood", stood)
		}
		got := explain.Explain(past.Lines, explain.Question{Account: "a7", At: at, Now: at, Answers: true})
		if said := strings.Join(got.Sentences, " "); got.Verdict != explain.Valid || !strings.Contains(said, "a revocation of its login was sent, and its outcome is unknown") {
			t.Errorf("%s: %s", got.Verdict, said)
		}
	})
}
