package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// This file is what the tests share that kill processes inside an attempt: the
// program built to die on command, one installation of it at a strict broker,
// and the windows of an attempt.

// crashProgram is the program built with crash points, at most once.
var crashProgram struct {
	once sync.Once
	dir  string
	err  error
}

func buildCrashProgram(t *testing.T) string {
	t.Helper()
	skipUnlessRaced(t)
	crashProgram.once.Do(func() {
		if crashProgram.dir, crashProgram.err = os.MkdirTemp("", "tokenkeeper-crash-"); crashProgram.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-buildvcs=false", "-tags", "crashpoints", "-o", crashProgram.dir, ".")
		if out, err := cmd.CombinedOutput(); err != nil {
			crashProgram.err = fmt.Errorf("go build -tags crashpoints: %w\n%s", err, out)
		}
	})
	if crashProgram.err != nil {
		t.Fatal(crashProgram.err)
	}
	return filepath.Join(crashProgram.dir, "tokenkeeper")
}

// removeCrashProgram is for TestMain.
func removeCrashProgram() {
	if crashProgram.dir != "" {
		_ = os.RemoveAll(crashProgram.dir)
	}
}

// window is how far an attempt had come when something died.
type window string

const (
	beforeSend window = "before the send"
	sent       window = "sent"
	answered   window = "answered"
	spooled    window = "spooled"
	committed  window = "committed"
)

var windows = []window{beforeSend, sent, answered, spooled, committed}

// opens is the window that an attempt enters at a point.
var opens = map[string]window{
	"refresh: the intent stands":         beforeSend,
	"refresh: the login's intent stands": beforeSend,
	sendPoint:                            sent,
	"oauth: the answer begins":           answered,
	durablePoint:                         spooled,
	"refresh: the token is committed":    committed,
}

// pass is a line of the log that package sdk/crashpoint writes.
type pass struct {
	process, point string
	killed         bool
}

func readPasses(t *testing.T, log string) []pass {
	t.Helper()
	b, err := os.ReadFile(log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var passes []pass
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) < 2 {
			t.Fatalf("the log of crash points has the line %q", line)
		}
		passes = append(passes, pass{f[0], f[1], len(f) > 2})
	}
	return passes
}

// windowAfter is the window in which the passes end, for an attempt that was
// in the window from before them.
func windowAfter(passes []pass, from window) window {
	for _, p := range passes {
		if w, ok := opens[p.point]; ok {
			from = w
		}
	}
	return from
}

// sendPoint is passed before anything of a request is written.
const sendPoint = "oauth: marked as sent, nothing written"

// durablePoint is passed when the whole answer is in the spool.
const durablePoint = "spool: the answer is durable"

func passed(passes []pass, point string) int {
	n := 0
	for _, p := range passes {
		n += count(p.point == point)
	}
	return n
}

// evidence is what an attempt that died has left where no process of ours can
// change it: in the broker's log, and on disk.
type evidence struct {
	// hearerDied: the process that would have heard the answer died, and not
	// only who asked for it. The rest is not looked for where it lives on.
	hearerDied bool
	// read: the broker has read the attempt's request.
	read bool
	// saved: the answer's last byte is in a spool.
	saved bool
}

// unavoidable says whether nobody could have kept the login.
func (e evidence) unavoidable() bool { return e.hearerDied && e.read && !e.saved }

// evidenceOf looks for what is left of the attempt whose hearer died with the
// last of the passes until. In the passes after nobody died, and the broker
// has read posts requests since the first of all of them.
func evidenceOf(until, after []pass, posts int) evidence {
	attempt := lastAttempt(until)
	e := evidence{hearerDied: true, saved: passed(attempt, durablePoint) > 0}
	if passed(attempt, sendPoint) > 0 {
		// All the others were read: their process lived.
		e.read = posts >= passed(until, sendPoint)+passed(after, sendPoint)
	}
	return e
}

// lastAttempt is what was passed since the last attempt was announced.
func lastAttempt(passes []pass) []pass {
	for i, p := range slices.Backward(passes) {
		if opens[p.point] == beforeSend {
			return passes[i:]
		}
	}
	return nil
}

// crashSite is an installation of the program with crash points: one account
// of one strict broker, whose refresh tokens are single-use without any grace,
// and a file sink that carries everything.
type crashSite struct {
	*site
	t   *testing.T
	sim *brokersim.Server
	// log of crash points.
	log string
	// runs are the supervisors so far.
	runs []*running
}

// The account of a crashSite.
const crashAccount = "main"

func newCrashSite(t *testing.T, broker brokersim.Config, shared bool) *crashSite {
	t.Helper()
	program := buildCrashProgram(t)
	dir, err := os.MkdirTemp("", "tk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	sim := brokersim.New(broker)
	if err := sim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sim.Close)
	c := &crashSite{
		site: &site{program: program, dir: dir, config: filepath.Join(dir, "tokenkeeper.yaml")},
		t:    t, sim: sim, log: filepath.Join(dir, "points"),
	}
	_ = t.TempDir() // which is made before, and so removed after, what end shows
	t.Cleanup(c.end)
	cfg := sim.Config()
	share := ""
	if shared {
		share = fmt.Sprintf("\n    shared_file: {path: %s, format: %s}", c.sharedPath(), format.SaxoCache)
	}
	c.configure(t, fmt.Sprintf(`accounts:
  %s:
    provider: %s
    client_id: %s
    client_secret: %s
    redirect_url: %s
    settings: {authorize_url: "%s", token_url: "%s"}
    refresh: {jitter: 0s, timeout: 10s}%s
sinks:
  files: {type: file, path: "{account}.json", include_refresh_token: true}
`, crashAccount, cfg.Dialect, cfg.ClientID, cfg.ClientSecret, cfg.RedirectURL, sim.AuthorizeURL(), sim.TokenURL(), share))
	return c
}

// launch starts "tokenkeeper run", which may die at any moment.
func (c *crashSite) launch(env ...string) *running {
	c.t.Helper()
	r := &running{
		t: c.t, Client: control.NewClient(c.path("state/control.sock")),
		cmd: c.command(context.Background(), "", "run"), ended: make(chan struct{}),
	}
	r.cmd.Env = append(append(r.cmd.Env, "CRASHPOINT_LOG="+c.log), env...)
	r.logs()
	if err := r.cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	r.PID = r.cmd.Process.Pid
	go func() {
		defer close(r.ended)
		r.err = r.cmd.Wait()
	}()
	c.runs = append(c.runs, r)
	return r
}

// end kills what is left and shows what was logged if the test has failed.
func (c *crashSite) end() {
	for i, r := range c.runs {
		r.Client.Close()
		r.Kill()
		if c.t.Failed() {
			c.t.Logf("standard error of supervisor %d:\n%s", i+1, r.Stderr())
		}
	}
	if c.t.Failed() {
		b, _ := os.ReadFile(c.log)
		c.t.Logf("crash points:\n%s", b)
	}
	c.awaitGone(c.t)
}

// ambiguous says whether any supervisor has told that the outcome of an attempt
// is unknown.
func (c *crashSite) ambiguous() bool {
	return slices.ContainsFunc(c.runs, func(r *running) bool {
		return strings.Contains(r.Stderr(), "kind=ambiguous")
	})
}

// lookEvery is how often a status is looked at where no event tells of all
// that is waited for.
const lookEvery = 20 * time.Millisecond

// await returns the status for which holds is true; alive is false if the
// supervisor has died instead.
func (c *crashSite) await(r *running, holds func(control.Status) bool) (st control.Status, alive bool) {
	c.t.Helper()
	ctx, cancel := waittest.Context(context.Background(), waittest.Patience, r.steps)
	defer cancel()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-r.ended:
			return st, false
		case <-ctx.Done():
			c.t.Fatalf("it never came to that; the last status: %+v", st)
		case <-look.C:
		}
		now, err := r.Client.Status(ctx)
		if err != nil {
			continue // not open yet, or dead: the next turn says which
		}
		if st = now; holds(st) {
			return st, true
		}
	}
}

// held is the refresh token that the file sink has.
func (c *crashSite) held() string { return c.refreshTokenIn(c.path(crashAccount + ".json")) }

// shared is the refresh token in the shared file.
func (c *crashSite) shared() string { return c.refreshTokenIn(c.sharedPath()) }

func (c *crashSite) sharedPath() string { return c.path("shared.json") }

// refreshTokenIn reads a file of any format that has the field.
func (c *crashSite) refreshTokenIn(path string) string {
	c.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	var v struct {
		RefreshToken string `json:"refresh_token"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		c.t.Fatal(err)
	}
	return v.RefreshToken
}

// atRest says that nothing is open: the process serves, nothing is in flight,
// and the sink has the newest version, unless that is dead: such a token is
// given to nobody.
func atRest(st control.Status) bool {
	a := account(st, crashAccount)
	return !a.InFlight && len(st.Providers) == 1 && st.Providers[0].State == control.ProviderRunning &&
		len(a.Sinks) == 1 && (a.Sinks[0].Version == a.Version || !a.Expiry.After(st.Now))
}
