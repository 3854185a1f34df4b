package sink

import (
	"context"
	"errors"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Worker brings every newest token, and every alert's newest state, to one
// sink. Each sink has a worker of its own, so that a sink that hangs is felt by
// nobody else.
//
// What there may be something to do about stands in a queue, by name alone: the
// worker takes a key, reads what is newest of it, delivers that, notes it in the
// ledger, and says what is next. As no key is in two hands, nothing old is
// delivered after something newer. Lifecycle events are told one by one, as far
// as they fit into memory.
type Worker struct {
	state   *state
	sources sources
	looks   chan struct{}
}

// NewWorker returns a worker that does nothing until [Worker.Run]. cfg has
// passed [CheckWorker].
func NewWorker(cfg WorkerConfig) *Worker {
	d := newSetup(cfg)
	w := &Worker{state: newState(d), sources: sources{}, looks: make(chan struct{}, 1)}
	if d.takes(KindToken) {
		w.sources[KindToken] = tokens{d}
	}
	if d.getsAlerts() {
		w.sources[KindAlert] = alerts{d}
	}
	return w
}

// Run delivers until ctx ends. At its start everything of which the ledger does
// not show the newest version gets delivered. Deliveries in flight at the end
// get five seconds to finish, as a slow disk or receiver may need; Run returns
// within six, with ctx's error. It returns earlier only if our own code
// panicked, and may be run again then.
func (w *Worker) Run(ctx context.Context) error {
	defer serve(ctx, w.state)()
	defer teller{w.state}.start(ctx)()
	if !(catchUp{w.state, w.sources}).run(ctx) {
		return ctx.Err()
	}
	defer lookBack{w.state, w.looks}.start(ctx)()
	defer w.state.endWatch()
	h := hands{
		queue: w.state.queue,
		do:    func(tries context.Context, k key) { w.deliver(ctx, tries, k) },
		busy:  make(chan struct{}, w.state.MaxConcurrent),
	}
	return h.run(ctx)
}

// deliver does what there is to do about one key. Of what is cut off by the end
// of the run nobody is told.
func (w *Worker) deliver(ctx, tries context.Context, k key) {
	seen, ok := w.state.begin(k)
	if !ok {
		return
	}
	o := w.state.try(tries, w.sources[k.kind], seen)
	n := w.state.settle(k, o)
	ended := ctx.Err() != nil
	if !ended || o.delivered != nil {
		w.state.publish(n)
	}
	if !ended && errors.Is(o.err, ErrAbsent) {
		w.state.watch(ctx)
	}
}

// Name of the sink.
func (w *Worker) Name() string { return w.state.Name }

// Type of the sink.
func (w *Worker) Type() string { return w.state.Type }

// Takes says whether the account's tokens go to this sink.
func (w *Worker) Takes(account string) bool { return w.state.gets(account) }

// Wake says that the account may have a newer record. It never blocks, and
// costs nothing for an account that does not go here.
func (w *Worker) Wake(account string) {
	if w.state.gets(account) {
		w.state.wake(key{KindToken, account})
	}
}

// WakeAlert says that the alert with this key may have a newer state. It never
// blocks, and costs nothing for a sink that gets no alerts.
func (w *Worker) WakeAlert(name string) {
	if w.state.getsAlerts() {
		w.state.wake(key{KindAlert, name})
	}
}

// Tell hands a lifecycle event to the sink. It never blocks, and costs nothing
// for a sink that takes none. What comes to the sink as an alert does not come
// as an event too, and no sink is told of itself.
func (w *Worker) Tell(e event.Event) { teller{w.state}.add(e) }

// Look has a sink that can be asked what it holds looked at soon. It never blocks.
func (w *Worker) Look() {
	select {
	case w.looks <- struct{}{}:
	default:
	}
}

// Status of one account's deliveries; the zero Status for an account that the
// worker has not seen.
func (w *Worker) Status(account string) Status { return w.state.status(account) }

// Summary of the sink at this moment.
func (w *Worker) Summary() Summary { return w.state.summary() }

// Disable keeps everything from the sink until [Worker.Enable] or the next
// start. What is in flight may still arrive. by says for people who wanted it;
// a sink that is disabled already is by's from now on.
func (w *Worker) Disable(by string) { w.state.publish(w.state.disableFor(by)) }

// Enable lets a sink take deliveries again, whoever disabled it, and brings it
// what it missed: the newest only.
func (w *Worker) Enable() { w.state.publish(w.state.enable()) }

// Redeliver delivers what the sink has already, with the same id, for a
// receiver that lost it: the newest token of an account ([ErrExpired]: nobody can use
// it), an alert by its key, or, for "", the token of every account that has one which
// somebody can use, and every alert that is not over. It returns how many will be delivered, without waiting for that. A restart
// before the delivery forgets the wish.
func (w *Worker) Redeliver(ctx context.Context, account string) (n int, err error) {
	return wishes{w.state, w.sources}.add(ctx, account, onceMore)
}

// Overwrite is Redeliver of one account also over a token that the destination
// holds now and that nobody here knows. What comes there later is guarded as ever.
func (w *Worker) Overwrite(ctx context.Context, account string) (n int, err error) {
	return wishes{w.state, w.sources}.overwrite(ctx, account)
}

// Test shows whether the sink works, without giving anybody a token that is
// not the newest: a sink that is a [Tester] is asked to show it with the newest
// token of its first account, and one that takes notices is sent one that says
// that it is a test. done says in a few words what was tried. What the sink has not
// taken is tried at once if it works. A sink that is disabled is tested all the same.
func (w *Worker) Test(ctx context.Context) (done string, err error) {
	return trial{w.state}.test(ctx)
}

// Held asks the sink what it holds of the record's account, and says how that
// stands to the record. After an error nobody knows; a sink that can't be asked
// is silent.
func (w *Worker) Held(ctx context.Context, rec store.Record) (readback.Held, readback.Finding, error) {
	return readBack{w.state.setup}.newest(ctx, rec)
}

// Guarded says for people what stands at the destination, why nothing is written
// over it, and the ways out.
func (w *Worker) Guarded(account string, h readback.Held, f readback.Finding) string {
	return readBack{w.state.setup}.guarded(account, h, f)
}
