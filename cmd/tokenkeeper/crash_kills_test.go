package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sharedfile/sharedfiletest"
)

var killCount = flag.Int("kills", 30, "TestRandomKills: how often something is killed")

// Who is killed.
const (
	killSupervisor = "supervisor"
	killProvider   = "provider"
	killBoth       = "both"
	killBot        = "bot"
)

// victims are drawn from this list.
var victims = []string{
	killSupervisor, killSupervisor, killSupervisor,
	killProvider, killProvider, killProvider, killProvider,
	killBoth, killBoth,
	killBot,
}

// TestRandomKills kills the supervisor, the provider, both, or a bot that
// holds the shared file's lock, with SIGKILL, at random moments of refreshes
// at a broker whose tokens are short-lived and single-use without any grace.
// After each kill it looks whether the newest refresh token is held and works.
// The broker's own log judges: a login may be lost only if the request was read
// there and the answer's last byte is in no spool.
//
//	go test ./cmd/tokenkeeper -run TestRandomKills -kills 10000 -timeout 0 -v
func TestRandomKills(t *testing.T) {
	t.Parallel()
	c := newCrashSite(t, brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 4 * time.Second, RefreshLifetime: time.Hour}, true)
	// Without delays the broker answers within a millisecond.
	c.sim.Chaos(rand.Uint64(), 0.4, brokersim.Delay(4*time.Millisecond),
		brokersim.Delay(4*time.Millisecond).At(brokersim.AfterProcessing), brokersim.Drip(10*time.Microsecond))
	c.shareAndImport(0)
	k := &killer{c: c, run: c.launch()}
	for n := 1; n <= *killCount && !t.Failed(); n++ {
		k.round()
		if n%500 == 0 {
			t.Logf("so far:\n%s", k.table())
		}
	}
	t.Logf("\n%s", k.table())
	for _, loss := range k.losses() {
		t.Log(loss)
	}
	if *killCount >= 300 {
		for _, w := range windows {
			if k.sum(func(r killed) bool { return r.window == w && r.victim != killBot }) == 0 {
				t.Errorf("no kill hit the window %q", w)
			}
		}
	}
}

// killer kills again and again in one installation.
type killer struct {
	c   *crashSite
	run *running
	// rounds are what came of the kills.
	rounds []killed
}

// killed is what came of one kill.
type killed struct {
	victim          string
	window          window
	refreshes       int
	lost, ambiguous bool
	// left is what is known of the attempt without asking us, and broker what the broker
	// has counted meanwhile.
	left   evidence
	broker brokersim.Counts
	// outside: the login was lost although the broker had not read the request,
	// or the whole answer was in a spool.
	outside bool
}

// afterwards is no window: the kill came when the refresh was over.
const afterwards window = "after the refresh"

// round kills once in or near a refresh and sees to it that another one
// succeeds.
func (k *killer) round() {
	c, t := k.c, k.c.t
	t.Helper()
	provider, counts := k.startAtRest()
	told := ambiguities(k.run)
	what := killed{victim: victims[rand.IntN(len(victims))]}
	var bot *sharedfiletest.Process
	if what.victim == killBot {
		bot = sharedfiletest.Start(t, sharedfiletest.Bot{Path: c.sharedPath(), Lock: c.sharedPath() + ".lock", Hang: true})
		bot.Locked(t)
	}

	before := k.run
	forced := before.forceRefresh(crashAccount)
	<-time.After(rand.N(15 * time.Millisecond))
	until := k.kill(what.victim, provider, bot)
	what.window = attemptWindow(until)
	<-forced // whatever became of it

	st, alive := c.await(k.run, atRest)
	if !alive {
		t.Fatal("the supervisor that was started after a kill died")
	}
	var err error
	if account(st, crashAccount).State != control.AccountNeedsLogin {
		// What was open is settled before this one begins.
		err = <-k.run.forceRefresh(crashAccount)
	}
	st, _ = c.await(k.run, func(st control.Status) bool {
		a := account(st, crashAccount)
		return atRest(st) && a.AmbiguousSince.IsZero() && (a.State == control.AccountNeedsLogin || a.State == control.AccountValid)
	})
	what.lost = account(st, crashAccount).State == control.AccountNeedsLogin
	what.ambiguous = ambiguities(before) > told || k.run != before && ambiguities(k.run) > 0
	now := c.sim.Account(crashAccount)
	if what.victim == killProvider || what.victim == killBoth {
		what.left = evidenceOf(until, readPasses(t, c.log)[len(until):], now.Posts-counts.Posts)
	}
	what.refreshes, what.broker = now.Refreshes-counts.Refreshes, since(counts, now)
	k.judge(&what, err, now.Repeats-counts.Repeats)
	k.rounds = append(k.rounds, what)
	if what.lost {
		k.logInAgain()
	}
}

// startAtRest empties the list of passes while no attempt is under way, and
// returns the provider's process and what the broker has counted until then. An
// account refreshes by itself, too: one that begins between the look and the
// emptying would be in the list without its beginning.
func (k *killer) startAtRest() (provider int, counts brokersim.Counts) {
	c, t := k.c, k.c.t
	t.Helper()
	look := func() (control.Status, control.Account) {
		st, alive := c.await(k.run, func(st control.Status) bool {
			return atRest(st) && account(st, crashAccount).State != control.AccountNeedsLogin
		})
		if !alive {
			t.Fatal("a supervisor died that nobody killed")
		}
		return st, account(st, crashAccount)
	}
	for {
		_, before := look()
		if err := os.Truncate(c.log, 0); err != nil && !errors.Is(err, fs.ErrNotExist) { // nobody has come to a point yet
			t.Fatal(err)
		}
		counts = c.sim.Account(crashAccount)
		st, after := look()
		if after.Version == before.Version && c.sim.Account(crashAccount).Posts == counts.Posts && len(readPasses(t, c.log)) == 0 {
			return st.Providers[0].PID, counts
		}
	}
}

// kill kills, has what is gone started again, and returns the passes until the
// death.
func (k *killer) kill(victim string, provider int, bot *sharedfiletest.Process) []pass {
	c := k.c
	switch victim {
	case killBot:
		bot.Kill()
		return readPasses(c.t, c.log)
	case killBoth:
		// Both at once, as by the kernel when memory is short.
		_ = k.run.cmd.Process.Kill()
		k.killProcess(provider)
		k.run.Kill()
	case killSupervisor:
		k.run.Kill()
	case killProvider:
		k.killProcess(provider)
	}
	passes := readPasses(c.t, c.log)
	if victim == killProvider {
		// A person skips the pause before the next start.
		if _, err := k.run.Client.Restart(c.t.Context(), c.runsProvider()); err != nil {
			c.t.Errorf("restart: %v", err)
		}
		return passes
	}
	k.run.Client.Close()
	c.runs = nil
	k.run = c.launch()
	return passes
}

// killProcess returns when the process is gone.
func (k *killer) killProcess(pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended with the supervisor
	}
	defer func() { _ = unix.Close(fd) }()
	p := &handle{k.c.t, pid, fd}
	_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	p.mustEnd()
}

func (c *crashSite) runsProvider() string { return string(c.sim.Config().Dialect) }

// ambiguities is how often a supervisor has told of an unknown outcome.
func ambiguities(r *running) int { return strings.Count(r.Stderr(), "kind=ambiguous") }

// attemptWindow is the window of the last attempt among the passes.
func attemptWindow(passes []pass) window {
	attempt := lastAttempt(passes)
	switch {
	case len(attempt) == 0:
		return beforeSend
	case passed(attempt, settledPoint) > 0:
		return afterwards
	default:
		return windowAfter(attempt, beforeSend)
	}
}

// judge holds what came of a kill against the rules.
func (k *killer) judge(what *killed, verdict error, repeats int) {
	c, t := k.c, k.c.t
	t.Helper()
	// A death just before a pass is noted counts as one in the window before;
	// where exactly an attempt becomes ambiguous is for TestCrashPoints.
	mayBeAmbiguous := what.left.hearerDied && slices.Contains([]window{beforeSend, sent, answered}, what.window)
	what.outside = what.lost && !what.left.unavoidable()
	switch {
	case what.outside:
		t.Errorf("%+v: the login is lost: %v", *what, verdict)
	case what.lost && !what.ambiguous:
		t.Errorf("%+v: the login is lost, and nobody was told that an attempt was ambiguous: %v", *what, verdict)
	case !what.lost && verdict != nil && !strings.Contains(verdict.Error(), deadAlready):
		t.Errorf("%+v: the refresh after the kill failed: %v", *what, verdict)
	case !what.lost && !c.sim.RefreshValid(c.held()):
		t.Errorf("%+v: the refresh token that is held is not the newest one", *what)
	case what.ambiguous && !mayBeAmbiguous:
		t.Errorf("%+v: an attempt was called ambiguous", *what)
	case repeats > 0 && !mayBeAmbiguous, repeats > 1 && !what.lost: // with force, a dead token may be tried, too
		t.Errorf("%+v: refresh tokens were sent again %d times", *what, repeats)
	}
	if v := c.sim.Violations(); len(v) > 0 {
		t.Errorf("%+v: requests that the broker does not allow: %+v", *what, v)
	}
}

// logInAgain is what a person does when the login is lost.
func (k *killer) logInAgain() {
	body := k.c.logIn(format.SaxoCache, 0)
	if _, err := k.run.Client.Import(k.c.t.Context(), control.ImportRequest{Account: crashAccount, Force: true, Body: body}); err != nil {
		k.c.t.Fatalf("import after a loss: %v", err)
	}
}

func (k *killer) sum(match func(killed) bool) int {
	n := 0
	for _, r := range k.rounds {
		n += count(match(r))
	}
	return n
}

// since is what a broker has counted between two moments of a request's way.
func since(before, now brokersim.Counts) brokersim.Counts {
	return brokersim.Counts{
		Posts: now.Posts - before.Posts, Processed: now.Processed - before.Processed, Answered: now.Answered - before.Answered,
		CutReceived: now.CutReceived - before.CutReceived, CutProcessed: now.CutProcessed - before.CutProcessed,
		Refused: now.Refused - before.Refused, Repeats: now.Repeats - before.Repeats,
	}
}

// losses are the logins that were lost, one line each, with what the broker's log says.
func (k *killer) losses() (lines []string) {
	for i, r := range k.rounds {
		if !r.lost {
			continue
		}
		b, verdict := r.broker, "nobody could have kept it"
		if r.outside {
			verdict = "it was lost NEEDLESSLY"
		}
		lines = append(lines, fmt.Sprintf("lost by kill %d (%s, window %q, told as ambiguous: %t): the broker has read %d requests, processed %d, answered %d whole, "+
			"cut off %d before and %d after it had processed them, refused %d, met %d tokens again; the answer was in a spool: %t; %s",
			i+1, r.victim, r.window, r.ambiguous, b.Posts, b.Processed, b.Answered, b.CutReceived, b.CutProcessed, b.Refused, b.Repeats, r.left.saved, verdict))
	}
	return lines
}

// TestLossesAreListed: each, with what there is to judge it by, and nothing else.
func TestLossesAreListed(t *testing.T) {
	k := &killer{rounds: []killed{
		{victim: killBot, window: sent},
		{victim: killBoth, window: answered, lost: true, ambiguous: true, broker: since(brokersim.Counts{Posts: 5, Processed: 5, Answered: 4}, brokersim.Counts{Posts: 7, Processed: 7, Answered: 5, CutProcessed: 1, Refused: 1, Repeats: 1})},
		{victim: killProvider, window: beforeSend, lost: true, outside: true, left: evidence{saved: true}},
	}}
	want := []string{
		`lost by kill 2 (both, window "answered", told as ambiguous: true): the broker has read 2 requests, processed 2, answered 1 whole, cut off 0 before and 1 after it had processed them, refused 1, met 1 tokens again; the answer was in a spool: false; nobody could have kept it`,
		`lost by kill 3 (provider, window "` + string(beforeSend) + `", told as ambiguous: false): the broker has read 0 requests, processed 0, answered 0 whole, cut off 0 before and 0 after it had processed them, refused 0, met 0 tokens again; the answer was in a spool: true; it was lost NEEDLESSLY`,
	}
	if got := k.losses(); !slices.Equal(got, want) {
		t.Errorf("listed:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// table is what the rounds came to, by window.
func (k *killer) table() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "window\tkills\tsupervisor\tprovider\tboth\tbot\trefreshes\tread, no answer spooled\tambiguous\tlost\tlost needlessly\trecovered\t")
	row := func(name string, match func(killed) bool) {
		n := func(and func(killed) bool) int { return k.sum(func(r killed) bool { return match(r) && and(r) }) }
		of := func(victim string) int { return n(func(r killed) bool { return r.victim == victim }) }
		refreshes := 0
		for _, r := range k.rounds {
			if match(r) {
				refreshes += r.refreshes
			}
		}
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", name, k.sum(match),
			of(killSupervisor), of(killProvider), of(killBoth), of(killBot), refreshes,
			n(func(r killed) bool { return r.left.unavoidable() }),
			n(func(r killed) bool { return r.ambiguous }), n(func(r killed) bool { return r.lost }),
			n(func(r killed) bool { return r.outside }), n(func(r killed) bool { return !r.lost }))
	}
	for _, window := range append(slices.Clone(windows), afterwards) {
		row(string(window), func(r killed) bool { return r.window == window })
	}
	row("all", func(killed) bool { return true })
	_ = w.Flush()
	return text.String()
}
