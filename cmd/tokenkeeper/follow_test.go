package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/process"
)

// awaited is an output that can be waited on.
type awaited struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newAwaited() *awaited { return &awaited{more: make(chan struct{}, 1)} }

func (a *awaited) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case a.more <- struct{}{}:
	default:
	}
	return a.text.Write(p)
}

func (a *awaited) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// until waits for text to hold, or fails the test at a standstill.
func (a *awaited) until(t *testing.T, holds func(string) bool) {
	t.Helper()
	limit := waittest.Late(t)
	for !holds(a.String()) {
		select {
		case <-a.more:
		case <-limit:
			t.Fatalf("it did not come; this did:\n%s", a.String())
		}
	}
}

// follow runs a command that goes on until it is stopped.
func follow(t *testing.T, args ...string) (out *awaited, stop func() int) {
	t.Helper()
	out = newAwaited()
	var stderr bytes.Buffer
	e := testEnv("", nil, &stderr)
	e.stdout, e.watchEvery = out, 5*time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- e.execute(ctx, args) }()
	t.Cleanup(cancel)
	return out, func() int {
		cancel()
		select {
		case code := <-ended:
			if stderr.Len() > 0 {
				t.Errorf("stderr: %s", stderr.String())
			}
			return code
		case <-waittest.Late(t):
			t.Fatal("it goes on after it was interrupted")
			return 0
		}
	}
}

// publishUntil publishes until out shows it: the command subscribes some time
// after its start.
func publishUntil(t *testing.T, bus *event.Bus, out *awaited, e event.Event) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := waittest.Late(t)
	for !strings.Contains(out.String(), e.Message) {
		bus.Publish(0, e)
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("no event arrived")
		}
	}
}

func TestEvents(t *testing.T) {
	socket, bus, _ := serve(t, &fake{})
	out, stop := follow(t, "events", "--socket", socket)
	publishUntil(t, bus, out, event.Event{Type: event.ProviderStarted, Provider: "schwab", Message: "provider schwab serves"})
	bus.Publish(0, event.Event{Type: event.Delivered, Account: "main", Provider: "schwab", Sink: "bot", Version: 4, Message: "delivered in 3ms"})
	bus.Publish(0, event.Event{Type: event.RefreshFailing, Alert: true, Account: "main", Failures: 5, Max: 5, Message: "five in a row"})
	out.until(t, func(s string) bool { return strings.Contains(s, "five in a row\n") })
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{
		"14:20:00  provider started   schwab  provider schwab serves",
		"14:20:00  delivered          main → bot v4  delivered in 3ms",
		"14:20:00  refresh failing    main  five in a row",
	}
	if got := append(lines[:1:1], lines[len(lines)-2:]...); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// On a terminal an event is broken between words; in a pipe it is one line.
func TestEventsFitTheTerminal(t *testing.T) {
	ev := event.Event{Time: now, Type: event.RefreshFailing, Alert: true, Account: "main", Version: 7, Message: strings.Repeat("many words ", 20) + "end"}
	whole := eventLine(ev, time.UTC, painter{}, unbroken)
	if strings.Contains(whole, "\n") {
		t.Errorf("in a pipe: %q", whole)
	}
	for _, p := range []painter{{}, {on: true}} {
		got := eventLine(ev, time.UTC, p, narrow)
		if p.on != strings.Contains(got, "\x1b[") {
			t.Errorf("painted %v: %q", p.on, got)
		}
		if p.on {
			continue
		}
		if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(whole), " ") {
			t.Errorf("got %q\nof  %q", got, whole)
		}
		for line := range strings.Lines(got) {
			if len(line) > narrow+1 {
				t.Errorf("%d columns: %q", len(line), line)
			}
		}
	}
}

func TestEventsAsJSON(t *testing.T) {
	socket, bus, _ := serve(t, &fake{})
	out, stop := follow(t, "events", "--json", "--socket", socket)
	publishUntil(t, bus, out, event.Event{Type: event.Refreshed, Account: "main", Message: "first"})
	out.until(t, func(s string) bool { return strings.HasSuffix(s, "\n") })
	if code := stop(); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	line, _, _ := strings.Cut(out.String(), "\n")
	if e := decode[event.Event](t, line); e.Type != event.Refreshed || e.Account != "main" || e.Seq == 0 {
		t.Errorf("got %+v", e)
	}
}

// changing is a status that the test changes.
type changing struct {
	mu sync.Mutex
	s  control.Status
}

func (c *changing) status() control.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Now = c.s.Now.Add(time.Second) // time passes: that alone is no news
	return c.s
}

func (c *changing) restart(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Providers = []control.Provider{{Name: "schwab", Status: process.Status{State: control.ProviderRunning, PID: pid, Generation: 1}}}
}

func TestWatchPrintsEachChange(t *testing.T) {
	c := &changing{}
	c.restart(11111)
	socket, _, stopServer := serve(t, &fake{status: c.status})
	text, stopText := follow(t, "status", "--watch", "--socket", socket)
	lines, stopLines := follow(t, "status", "--watch", "--json", "--socket", socket)
	text.until(t, func(s string) bool { return strings.Contains(s, "11111") })
	lines.until(t, func(s string) bool { return strings.Count(s, "\n") == 1 })
	c.restart(22222)
	text.until(t, func(s string) bool { return strings.Contains(s, "22222") })
	lines.until(t, func(s string) bool { return strings.Count(s, "\n") == 2 })
	stopServer()
	text.until(t, func(s string) bool { return strings.Contains(s, "no supervisor is running on "+socket) })
	const notRunning = `{"error":{"code":"not_running","message":"no supervisor is running`
	lines.until(t, func(s string) bool { return strings.Contains(s, notRunning) && strings.HasSuffix(s, "\n") })
	if stopText() != exitOK || stopLines() != exitOK {
		t.Error("an interrupted watch is no failure")
	}
	// A question that was on its way when the supervisor ended is told of first, once.
	inWords := strings.Count(text.String(), `"tokenkeeper run"`) + strings.Count(text.String(), `"tokenkeeper status"`)
	if n := strings.Count(text.String(), "tokenkeeper "); n != 2+inWords {
		t.Errorf("the table was printed %d times for 2 states:\n%s", n, text.String())
	}
	said := strings.Split(strings.TrimSuffix(lines.String(), "\n"), "\n")[2:]
	if len(said) == 2 && strings.Contains(said[0], "ended while it worked on this") {
		said = said[1:]
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], notRunning) {
		t.Errorf("got %s", lines.String())
	}
}

func TestRedrawLeavesNothingBehind(t *testing.T) {
	var out bytes.Buffer
	if err := (watching{testEnv("", &out, nil)}).redraw(sampleStatus(), nil); err != nil {
		t.Fatal(err)
	}
	got := out.String()
	if !strings.HasPrefix(got, home) || !strings.HasSuffix(got, eraseBelow) || strings.Count(got, "\n") != strings.Count(got, nextLine) {
		t.Errorf("got %q", got)
	}
}

func TestFit(t *testing.T) {
	const text = "1\n2\n3\n4\n"
	for height, want := range map[int]string{0: text, 5: text, 4: "1\n2\n… 2 more lines\n", 3: "1\n… 3 more lines\n", 1: text} {
		if got := fit(text, height); got != want {
			t.Errorf("fit(%d) = %q, want %q", height, got, want)
		}
	}
}

// followEvents follows what happens with "tokenkeeper events". That ends with the
// supervisor: all waits for it, and returns what it has said.
func (s *site) followEvents(t *testing.T) (all func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, ended := newAwaited(), make(chan struct{})
	cmd := s.command(ctx, "", "events", "--json")
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(ended); _ = cmd.Wait() }()
	t.Cleanup(func() { cancel(); <-ended })
	return func() string {
		t.Helper()
		select {
		case <-ended:
		case <-waittest.Late(t):
			t.Fatal("tokenkeeper events did not end with the supervisor")
		}
		return out.String()
	}
}
