package history

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// Config is where it is written.
type Config struct {
	// Dir is the state directory.
	Dir string
	// Accounts is how many there are until [Writer.Configured] says otherwise.
	Accounts int
	Wall     func() time.Time
	Log      *slog.Logger
}

const (
	// mostWaiting is how many lines may wait for the disk before further ones are lost.
	mostWaiting = 2048
	// lastWords is how long a stop waits for the disk.
	lastWords = 2 * time.Second
)

// Writer adds to the ring. It is safe for concurrent use.
type Writer struct {
	cfg  Config
	put  func(text []byte) error // to the disk
	size atomic.Int64            // of the ring

	mu      sync.Mutex
	waiting []Line
	lost    int
	repeats repeats
	more    chan struct{} // has room for one

	// complained: it was told that nothing can be written. The goroutine of Run alone uses it.
	complained bool
}

// New writes nothing before [Writer.Run].
func New(c Config) *Writer {
	w := &Writer{cfg: c, more: make(chan struct{}, 1)}
	w.put = func(text []byte) error { return ring{c.Dir, w.size.Load() / 2}.add(text) }
	w.size.Store(sizeFor(c.Accounts))
	return w
}

// Note takes an event, and waits for nothing. Who reads tokens is not for the history: some
// do all the time, and the log has it.
func (w *Writer) Note(e event.Event) {
	if e.Type == event.Audit && (e.Act == nil || strings.HasPrefix(e.Act.Name, "token")) {
		return
	}
	w.add(Line{Event: e})
}

// Began notes that a run begins.
func (w *Writer) Began(version string) {
	w.tell(Line{Event: event.Event{Type: RunBegan, Message: "the supervisor starts, version " + version}})
}

const (
	// mostNamed is of how many accounts, and sinks, it is noted by name that they are configured.
	mostNamed = 500
	// MostStanding is of how many it is to be noted how they stand: a row of restarts must
	// leave what was before it.
	MostStanding = 100
)

// Configured notes which accounts and sinks there are from now on, and makes room for those.
func (w *Writer) Configured(accounts, sinks []string) {
	w.size.Store(sizeFor(len(accounts)))
	l := Line{Event: event.Event{Type: Configured, Message: fmt.Sprintf("accounts that are configured: %d", len(accounts))}}
	if len(accounts) <= mostNamed {
		l.Accounts = append([]string{}, accounts...)
	}
	if len(sinks) <= mostNamed {
		l.Sinks = append([]string{}, sinks...)
	}
	w.tell(l)
}

// Stand notes how accounts stand when the run begins, or when they come into its configuration,
// each a line that has no time and no type: [MostStanding] at most.
func (w *Writer) Stand(when string, accounts []Line) {
	for _, l := range accounts {
		l.Type, l.Message = Stands, when
		w.tell(l)
	}
}

func (w *Writer) tell(l Line) {
	l.Time = w.cfg.Wall()
	w.add(l)
}

func (w *Writer) add(l Line) {
	w.mu.Lock()
	if l.Type == RunEnded { // without which the run would count as killed
		rest := w.repeats.all()
		most := min(len(rest), mostWaiting)
		w.lost += len(rest) - most
		w.waiting = slices.Concat(rest[:most], w.waiting, []Line{l})
	} else {
		for _, l := range w.repeats.take(l) {
			w.wait(l)
		}
	}
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// wait adds a line to what waits. The caller holds mu.
func (w *Writer) wait(l Line) {
	if len(w.waiting) < mostWaiting {
		w.waiting = append(w.waiting, l)
	} else {
		w.lost++
	}
}

// take returns what waits, and how many lines were lost before it.
func (w *Writer) take() (lines []Line, lost int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, w.waiting = w.waiting, nil
	if len(lines) > 0 {
		lost, w.lost = w.lost, 0
	}
	return lines, lost
}

// Run writes until ctx ends. It returns then, also if the disk does not.
func (w *Writer) Run(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- w.write(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(lastWords):
		w.cfg.Log.Warn("the disk of the state directory does not take the history; the stop does not wait for it")
		return nil
	}
}

func (w *Writer) write(ctx context.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic of type %T\n%s", v, debug.Stack()) // the value may hold anything
		}
	}()
	for {
		w.flush()
		select {
		case <-w.more:
		case <-ctx.Done():
			w.tell(Line{Event: event.Event{Type: RunEnded, Message: "the supervisor ends, as it was told to"}})
			w.flush()
			return nil
		}
	}
}

// flush brings to the disk what waits. What the disk does not take is lost.
func (w *Writer) flush() {
	lines, lost := w.take()
	if len(lines) == 0 {
		return
	}
	told := lines
	if lost > 0 {
		told = append([]Line{{Event: event.Event{
			Time: w.cfg.Wall(), Type: Lost, Message: fmt.Sprintf("events that could not be written to the history: %d", lost),
		}}}, lines...)
	}
	var text []byte
	for _, l := range told {
		if line, err := l.marshal(); err == nil { // otherwise its time is none
			text = append(text, line...)
		}
	}
	err := w.put(text)
	if err == nil {
		w.complained = false
		return
	}
	w.mu.Lock()
	w.lost += lost + len(lines)
	w.mu.Unlock()
	if !w.complained {
		w.complained = true
		w.cfg.Log.Warn("what happens can't be written to the history, and is missing there later; nothing else depends on it", "error", err)
	}
}
