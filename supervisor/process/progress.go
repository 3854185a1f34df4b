package process

import (
	"sync"
	"time"
)

// progress is what a member's process does now, and how it has fared: what every step
// of a generation makes of its [Status], and of the pause before the next. It is safe
// for concurrent use.
type progress struct {
	wall func() time.Time

	mu      sync.Mutex // guards what follows
	status  Status
	backoff backoff
	// trouble is Crashing or Parked until a generation has proved healthy; "":
	// it is neither.
	trouble State
	// from is what the process was started from; nil: none runs, or from nothing.
	from *started
}

func newProgress(cfg Config) *progress {
	return &progress{
		wall:    cfg.Now,
		status:  Status{Name: cfg.Name, State: Starting, Command: cfg.Command},
		backoff: backoff{policy: cfg.Backoff},
	}
}

func (p *progress) now() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// starting, serving, stopping and gone are the steps of a generation.

func (p *progress) starting() (generation int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Starting
	p.status.NextStart = time.Time{}
	p.status.Generation++
	return p.status.Generation
}

func (p *progress) serving(pid int, id identity, from *started) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = from
	p.status.State = Running
	p.status.PID = pid
	p.status.StartedAt = p.wall()
	p.status.Version, p.status.Description, p.status.Sink = id.version, id.provider, id.sink
}

// handedOn: another member goes on, or starts a process, as soon as it runs.
func (p *progress) handedOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Starting
}

// goesOn: the process that serves has another member.
func (p *progress) goesOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Running
}

func (p *progress) stopping() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Stopping
}

func (p *progress) gone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.PID = 0
	p.status.StartedAt = time.Time{}
	p.from = nil
}

func (p *progress) startedFrom() *started {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.from
}

// crashed notes the end of a generation that nobody asked for, and returns when the
// next one starts, and how long that is.
func (p *progress) crashed(why error) (delay time.Duration, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delay, loops := p.backoff.crashed(time.Now())
	if loops && p.trouble == "" {
		p.trouble = Crashing
	}
	p.status.State = Backoff
	if p.trouble == Crashing {
		p.status.State = Crashing
	}
	p.status.Crashes++
	p.status.LastError = why.Error()
	p.status.NextStart = p.wall().Add(delay)
	return delay, p.status.NextStart
}

// parked notes that a person has to change something.
func (p *progress) parked(fault *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Parked
	p.status.LastError = fault.Error()
	p.trouble = Parked
}

// wasParked says whether no generation has proved healthy since.
func (p *progress) wasParked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble == Parked
}

// healthy notes that a generation counts as healthy; over: that ends a trouble.
func (p *progress) healthy() (over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backoff.reset()
	over = p.trouble != ""
	p.trouble = ""
	return over
}

// restart counts one that a person has asked for, and returns the process that runs;
// 0: none.
func (p *progress) restart() (pid int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.Restarts++
	return p.status.PID
}

// stopped: no generation comes any more.
func (p *progress) stopped() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status.State = Stopped
	p.status.NextStart = time.Time{}
}
