package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// Sinks that hang in each way that there is, in the middle of a delivery, hold
// up neither the end of the supervisor nor that of any process of theirs.
func TestStopWithHungSinks(t *testing.T) {
	t.Parallel()
	saxo := startBroker(t, brokersim.Config{Dialect: brokersim.Saxo})
	s := newSite(t, "")
	faults := map[string]folder.Fault{"vault-hang": folder.Hang, "vault-deaf": folder.Deaf, "vault-spin": folder.Spin}
	newConsumer(t, s.path("silent.sock"), "")
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("there is no sleep: ", err)
	}
	yaml := "accounts:\n" + accountYAML(saxoAccount, saxo, saxo.TokenURL(), "before_expiry: 5m") + `sinks:
  hook:    {type: webhook, url: "` + stuck(t) + `", timeout: 20s, events: [token, alert, lifecycle]}
  silent:  {type: unixsocket, path: silent.sock, timeout: 20s}
  command: {type: exec, command: ["` + sleep + `", "1000"], timeout: 60s, events: [token, lifecycle]}
  files:   {type: file, path: "out-{account}.json"}
`
	dirs := map[string]string{}
	for name := range faults {
		dirs[name] = t.TempDir()
		yaml += vaultYAML(t, name, dirs[name])
	}
	s.configure(t, yaml)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	r := startRun(t, s)
	for name := range faults {
		r.deliveredTo(saxoAccount, name, 1)
	}
	// The first refresh after a start asks the sinks what they hold, and waits
	// for one that hangs for a minute.
	r.refreshed(saxoAccount)
	for name := range faults {
		r.deliveredTo(saxoAccount, name, 2)
	}
	for name, fault := range faults {
		if err := folder.Break(dirs[name], fault); err != nil {
			t.Fatal(err)
		}
	}
	r.refreshed(saxoAccount)
	r.deliveredTo(saxoAccount, "files", 3)
	inFlight := func(sinks control.Sinks) (n int) {
		for _, k := range sinks.Sinks {
			if k.Process != nil {
				n += k.Process.InFlight
			}
		}
		return n
	}
	r.until(func(control.Status) bool {
		sinks, err := r.Client.Sinks(t.Context())
		return err == nil && inFlight(sinks) == len(faults)
	})
	// Seconds for what is in flight, and for the processes; each sink's own
	// time is much longer.
	if took := r.Stop(); took > 18 {
		t.Errorf("it took %d beats to end", took)
	}
	s.awaitGone(t)
	if left, _ := filepath.Glob(s.path("state/sockets/*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
