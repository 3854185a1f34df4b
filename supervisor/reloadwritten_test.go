package supervisor

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// Because the configuration was written, everything comes that came and changed, and no
// account goes, nor half of the sinks: somebody has to ask for that.
func TestReloadOfWhatWasWritten(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		more := strings.Replace(worldYAML(c), "sinks:\n", "  third: {provider: two, client_id: app-key, client_secret: app-secret}\nsinks:\n", 1) +
			c.sinkYAML("more", "") + c.sinkYAML("other", "")
		w.write(more)
		w.reloadWritten(t.Context())
		synctest.Wait()
		if now := w.roster.Now().Config; len(now.Accounts) != 3 || len(now.Sinks) != 3 {
			t.Errorf("%d accounts and %d sinks", len(now.Accounts), len(now.Sinks))
		}
		w.logIn("third")

		running := w.roster.Now().Config
		for name, tt := range map[string]struct{ yaml, want string }{
			"an account is gone":    {strings.Replace(more, "  third:", "  # third:", 1), "account third is gone, and a changed file alone takes no account away"},
			"an account is renamed": {strings.Replace(more, "  third:", "  renamed:", 1), "account third is gone"},
			"most sinks are gone":   {strings.Replace(more, c.sinkYAML("more", "")+c.sinkYAML("other", ""), "", 1), "1 of 3 sinks are left"},
			"all sinks are gone":    {more[:strings.Index(more, "sinks:\n")], "0 of 3 sinks are left"},
			"another client":        {strings.Replace(more, "third: {provider: two, client_id: app-key", "third: {provider: two, client_id: other", 1), "account third would be another client's"},
			"another server":        {strings.Replace(more, "third: {", "third: {settings: {region: us}, ", 1), "account third would be another client's or another broker's"},
			"it is empty":           {"", "there is no account"},
			"it is wrong":           {more + "nonsense: 1\n", "nonsense: unknown key"},
		} {
			w.write(tt.yaml)
			w.reloadWritten(t.Context())
			synctest.Wait()
			if told := w.alerted(); len(told) != 1 || !strings.Contains(told[0], tt.want) || !strings.Contains(told[0], "tokenkeeper reload") {
				t.Errorf("%s: the alerts are %q", name, told)
			}
			if st := w.status(); !st.ConfigChanged || !strings.Contains(st.ConfigReloadError, tt.want) {
				t.Errorf("%s: the status says %q", name, st.ConfigReloadError)
			}
			if w.roster.Now().Config != running {
				t.Fatalf("%s: the supervisor goes on with it", name)
			}
			w.write(more)
			time.Sleep(time.Minute)
			synctest.Wait()
			if told := w.alerted(); len(told) > 0 {
				t.Errorf("%s, and it is put back: the alerts are %q", name, told)
			}
		}
		w.goesOn("main", "side", "third")

		w.write(strings.Replace(more, "third: {", "third: {settings: {region: eu}, ", 1)) // as it is anyway
		w.reloadWritten(t.Context())
		synctest.Wait()
		if now := w.roster.Now().Config; now == running {
			t.Errorf("the provider's own server is written out: the alerts are %q", w.alerted())
		}
		w.goesOn("third")

		w.write(strings.Replace(more, c.sinkYAML("other", ""), "", 1))
		w.reloadWritten(t.Context())
		if now := w.roster.Now().Config; len(now.Sinks) != 2 {
			t.Errorf("%d sinks; one of three has to go", len(now.Sinks))
		}
		w.write(worldYAML(c))
		w.accept()
		if now := w.roster.Now().Config; len(now.Accounts) != 2 || len(now.Sinks) != 1 {
			t.Errorf("somebody has asked for it: %d accounts and %d sinks", len(now.Accounts), len(now.Sinks))
		}
		// To be watched changes nobody who is there.
		w.write(worldYAML(c) + "reload: watch\n")
		cfg, err := w.load()
		if err != nil {
			t.Fatal(err)
		}
		if c, err := w.prepare(t.Context(), cfg); err != nil || c.what.String() != "reload changed" || len(c.providers)+len(c.sinks) > 0 {
			t.Errorf("%s: of %v and %v nothing differs (%v)", c.what, c.providers, c.sinks, err)
		}
	})
}

// What panics while it is read is told as whatever else is wrong with it.
func TestReloadOfWhatWasWrittenThatPanics(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := started(t, c)
		defer w.end()
		read := w.opts.Reread
		w.opts.Reread = func() (*config.Config, error) { panic("canary") }
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m"))
		w.reloadWritten(t.Context())
		synctest.Wait()
		if told := w.alerted(); len(told) != 1 || !strings.Contains(told[0], "a panic of type string") {
			t.Errorf("the alerts are %q", told)
		}
		if st := w.status(); !strings.Contains(st.ConfigReloadError, "a panic of type string") || strings.Contains(w.log.String(), "canary") {
			t.Errorf("the status says %q, or the log what panicked", st.ConfigReloadError)
		}
		w.opts.Reread = read
		w.reloadWritten(t.Context())
		time.Sleep(time.Minute)
		synctest.Wait()
		if told := w.alerted(); len(told) > 0 {
			t.Errorf("it was read, and the alerts are %q", told)
		}
		w.goesOn("main", "side")
	})
}
