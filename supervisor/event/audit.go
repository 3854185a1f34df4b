package event

import "log/slog"

// Audit is an act over the control API that reads or changes a token, when it
// is asked for. Such events are numbered by themselves and go to the log and to
// those alone who subscribe to them: a program that fetches its token at each
// event would otherwise call itself for ever.
const Audit Type = "audit"

// Caller is who asked for an act.
type Caller struct {
	UID uint32 `json:"uid"`
	// PID is 0 if the caller lives in a PID namespace that is not ours.
	PID int32 `json:"pid"`
	// Program is the path of what the process runs, or the name that it gives
	// itself; "" if neither can be told. UID and PID are the kernel's word,
	// this is not: a program can put another in its own place.
	Program string `json:"program,omitempty"`
}

// Act is what was asked for.
type Act struct {
	Name   string `json:"name"`
	Force  bool   `json:"force,omitempty"`
	Caller Caller `json:"caller"`
	// Times is how many acts of one caller are told together, the newest of which it is;
	// 0: it is one.
	Times int `json:"times,omitempty"`
}

func (a *Act) attrs() []slog.Attr {
	if a == nil {
		return nil
	}
	attrs := []slog.Attr{
		slog.String("act", a.Name), slog.Uint64("uid", uint64(a.Caller.UID)),
		slog.Int64("pid", int64(a.Caller.PID)), slog.String("program", a.Caller.Program),
	}
	if a.Times > 0 {
		attrs = append(attrs, slog.Int("times", a.Times))
	}
	return attrs
}

// SubscribeAudited is [Bus.Subscribe] with the events of type [Audit].
func (b *Bus) SubscribeAudited(buffer int) *Subscription {
	return b.subscribe(&Subscription{audited: true}, buffer)
}

// ObserveAudited is [Bus.Observe] with the events of type [Audit].
func (b *Bus) ObserveAudited(observer func(Event)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.noters = append(b.noters, observer)
}
