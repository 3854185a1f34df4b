package main

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

var crashAll = flag.Bool("crash.all", false, "TestCrashPoints: die at every point of every scenario, not at a choice of them")

// death is one order to die (see sdk/crashpoint).
type death struct {
	process string // who passes the point: "supervisor" or "provider"
	when    string // the number of its pass, or the point's name
	victim  string // "supervisor", "provider" or "both"
}

// fate is what came of one death.
type fate struct {
	scenario, process, point, victim string
	window                           window
	lost, ambiguous, held            bool
	// left is what is known of the attempt without asking us.
	left evidence
}

// unknown says whether nobody can know what the broker did: the process that
// would have heard it died after the send and before the answer was on disk.
func (f fate) unknown() bool {
	return f.victim != "supervisor" && (f.window == sent || f.window == answered)
}

// mayBeLost says whether nobody could have kept the login, by the broker's log
// and by what is on disk.
func (f fate) mayBeLost() bool { return f.unknown() && f.left.unavoidable() }

// TestCrashPoints kills the supervisor, the provider or both at each point of
// an attempt that package sdk/crashpoint names, starts again, and looks whether
// the newest refresh token is still held. All of them take a few minutes:
//
//	go test ./cmd/tokenkeeper -run TestCrashPoints -crash.all -v
func TestCrashPoints(t *testing.T) {
	t.Parallel()
	skipUnlessRaced(t)
	var mu sync.Mutex
	var fates []fate
	t.Run("deaths", func(t *testing.T) {
		for _, sc := range crashScenarios {
			for _, process := range []string{"supervisor", "provider"} {
				for _, victim := range []string{"supervisor", "provider", "both"} {
					if !*crashAll && !sc.short(process, victim) {
						continue
					}
					t.Run(fmt.Sprintf("%s/in %s/kill %s", sc.name, process, victim), func(t *testing.T) {
						t.Parallel()
						got := sc.sweep(t, process, victim)
						mu.Lock()
						defer mu.Unlock()
						fates = append(fates, got...)
					})
				}
			}
		}
	})
	reportDeaths(t, fates)
}

// sweep dies at pass 1, 2, … until a whole attempt goes through.
func (sc crashScenario) sweep(t *testing.T, process, victim string) []fate {
	var fates []fate
	for k := 1; !t.Failed(); k++ {
		died := false
		t.Run(strconv.Itoa(k), func(t *testing.T) {
			var f fate
			if f, died = sc.rehearse(t, death{process, strconv.Itoa(k), victim}); died {
				fates = append(fates, f)
			}
		})
		if !died {
			break
		}
	}
	return fates
}

// rehearse runs the scenario with one death in it; died is false if the
// attempt was over before its turn came.
func (sc crashScenario) rehearse(t *testing.T, d death) (f fate, died bool) {
	c := newCrashSite(t, brokersim.Config{Dialect: sc.dialect}, sc.shared)
	sc.prepare(c)
	provider := "provider/" + string(sc.dialect)
	order := d
	if order.process == "provider" {
		order.process = provider
	}
	posts := c.sim.Account(crashAccount).Posts
	r := c.launch("CRASHPOINT_KILL=" + strings.Join([]string{order.process, order.when, order.victim}, ";"))
	sc.act(c, r)
	over := func(st control.Status) bool { return atRest(st) && sc.over(c, account(st, crashAccount)) }
	st, alive := c.await(r, over)
	again := !alive
	if again {
		r = c.launch()
		if st, alive = c.await(r, over); !alive {
			t.Fatal("the supervisor that was started after the death died too")
		}
	}

	passes := readPasses(t, c.log)
	i := slices.IndexFunc(passes, func(p pass) bool { return p.killed })
	if i < 0 {
		if again {
			t.Fatal("a supervisor died that nobody told to")
		}
		if !slices.ContainsFunc(passes, func(p pass) bool { return p.point == sc.last }) {
			t.Fatal("nobody died, and still no attempt went through")
		}
		return fate{}, false
	}
	f = fate{
		scenario: sc.name, process: d.process, point: passes[i].point, victim: d.victim,
		window: windowAfter(passes[:i+1], sc.from),
	}
	if f.victim != "supervisor" {
		f.left = evidenceOf(passes[:i+1], passes[i+1:], c.sim.Account(crashAccount).Posts-posts)
	}
	sc.judge(c, r, account(st, crashAccount), &f)
	return f, true
}

// reportDeaths prints how often each window was hit and fails on one that was not.
func reportDeaths(t *testing.T, fates []fate) {
	t.Helper()
	points := map[string]bool{}
	type row struct{ deaths, hearers, read, saved, lost, ambiguous, held int }
	rows := map[window]row{}
	for _, f := range fates {
		points[f.point] = true
		r := rows[f.window]
		r.deaths++
		r.hearers += count(f.left.hearerDied)
		r.read += count(f.left.read)
		r.saved += count(f.left.saved)
		r.lost += count(f.lost)
		r.ambiguous += count(f.ambiguous)
		r.held += count(f.held)
		rows[f.window] = r
	}
	var text strings.Builder
	const layout = "%-16s %7v %9v %8v %8v %5v %10v %5v\n"
	fmt.Fprintf(&text, "%d deaths at %d points\n", len(fates), len(points))
	fmt.Fprintf(&text, layout, "", "", "of whom", "broker", "answer", "", "", "")
	fmt.Fprintf(&text, layout, "window", "deaths", "may hear", "read it", "spooled", "lost", "ambiguous", "held")
	for _, w := range windows {
		r := rows[w]
		fmt.Fprintf(&text, layout, w, r.deaths, r.hearers, r.read, r.saved, r.lost, r.ambiguous, r.held)
		if r.deaths == 0 {
			t.Errorf("no process died in the window %q", w)
		}
	}
	for _, f := range fates {
		if f.lost {
			fmt.Fprintf(&text, "lost: %s, %s killed in %s at %q: the broker had read the request, and the answer was in no spool\n", f.scenario, f.victim, f.process, f.point)
		}
	}
	fmt.Fprintf(&text, "points: %s", strings.Join(slices.Sorted(maps.Keys(points)), "; "))
	t.Log(text.String())
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}
