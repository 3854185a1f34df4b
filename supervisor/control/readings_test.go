package control

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// reads are readings, what they tell, and how many reads that stands for.
type reads struct {
	*readings
	log   bytes.Buffer
	acts  *event.Subscription
	count int
}

func newReads() *reads {
	r := &reads{}
	bus := event.NewBus(slog.New(slog.NewTextHandler(&r.log, nil)), time.Now)
	r.readings, r.acts = &readings{events: bus}, bus.SubscribeAudited(10_000)
	return r
}

// told returns what was told since it was called last.
func (r *reads) told() (lines []string) {
	synctest.Wait()
	for len(r.acts.C) > 0 {
		e := <-r.acts.C
		r.count += max(1, e.Act.Times)
		lines = append(lines, fmt.Sprintf("%s v%d %s x%d: %s", e.Account, e.Version, e.Act.Name, e.Act.Times, e.Message))
	}
	return lines
}

// TestReadsAreJoined: the first read is told at once, and those of the same reader and
// account that follow once a minute.
func TestReadsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReads()
		r.begin()
		expect := func(when string, want ...string) {
			t.Helper()
			if got := r.told(); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		bot := event.Caller{UID: 4_000_000_001, PID: 7, Program: "/usr/bin/bot"}
		three, four := read{act: "token", version: 3}, read{act: "token", version: 4}
		r.add("main", three, bot)
		expect("the first", "main v3 token x0: the reader user 4000000001 gets a token over the control API")
		for range 41 {
			r.add("main", three, bot)
		}
		r.add("other", three, bot)
		r.add("main", three, event.Caller{UID: 4_000_000_002})
		expect("at once",
			"other v3 token x0: the reader user 4000000001 gets a token over the control API",
			"main v3 token x0: the reader user 4000000002 gets a token over the control API")
		time.Sleep(readPause - time.Second)
		expect("before a minute is over")
		time.Sleep(time.Second)
		expect("after a minute", "main v3 token x41: the reader user 4000000001 gets a token over the control API; 41 more within a minute")
		if log := r.log.String(); !strings.Contains(log, "act=token uid=4000000001 pid=7 program=/usr/bin/bot times=41 account=main version=3") {
			t.Errorf("the log:\n%s", log)
		}

		r.add("main", four, bot)
		r.add("main", three, bot)
		r.add("main", read{act: "token/newer", code: CodeNotYet}, bot)
		r.add("main", four, bot)
		expect("in the next minute")
		time.Sleep(readPause)
		expect("after the next", "main v4 token x4: the reader user 4000000001 asks for tokens over the control API, "+
			"token: version 3 (1), token: version 4 (2), token/newer: not_yet (1); 4 more within a minute")
		time.Sleep(readPause)
		expect("after a silent minute")
		r.add("main", four, bot)
		expect("the next one", "main v4 token x0: the reader user 4000000001 gets a token over the control API")

		r.add("main", four, bot)
		r.end()
		expect("at the end", "main v4 token x1: the reader user 4000000001 gets a token over the control API; 1 more within a minute")
		r.add("main", four, bot)
		r.add("main", four, bot)
		time.Sleep(2 * readPause)
		if got := r.told(); len(got) != 2 {
			t.Errorf("after the end, when nobody would tell what is joined: %q", got)
		}
		if r.count != 41+3+4+1+1+2 {
			t.Errorf("%d reads were told", r.count)
		}
	})
}

// TestNoReadIsLost has many read for a while: each read is in the count of one line, and
// of a reader and account there is no more than one line a minute, also if he makes names
// up.
func TestNoReadIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReads()
		r.begin()
		const readers, minutes = 20, 10
		made := 0
		for second := range minutes * 60 {
			for uid := range uint32(readers) {
				if second%(int(uid)+1) != 0 {
					continue
				}
				r.add("main", read{act: "token", version: uint64(second / 100)}, event.Caller{UID: uid})
				r.add(fmt.Sprintf("made-up-%d", second), read{act: "token", code: CodeNotFound}, event.Caller{UID: uid})
				made += 2
			}
			time.Sleep(time.Second)
		}
		r.end()
		if lines := len(r.told()); r.count != made || lines > readers*2*(minutes+1) {
			t.Errorf("%d reads are told of %d, in %d lines", r.count, made, lines)
		}
	})
}
