package mirror

import (
	"log/slog"
	"time"
)

// Options of [New]; the zero value is good.
type Options struct {
	// Timeout is how long to wait for another supervisor to leave the state
	// directory, as it does when it is being restarted; 0: one second.
	Timeout time.Duration
	// Fallback is a directory, better on another disk, in which the store goes
	// on when the state directory can't be written; "": none. The store moves
	// back when it is opened and the state directory can be written again, so
	// the setting must stay as long as the store is there.
	Fallback string
	// Trouble is told of faults of the disk at once; nil: the log is. It must
	// not block and not call the store.
	Trouble func(Trouble)
	// Now dates what comes without a date: a record's StoredAt, an intent's
	// and a delivery's At, and names files; nil: [time.Now].
	Now func() time.Time
	// Log; nil: silence.
	Log *slog.Logger
}

// WithDefaults is o with what is left out filled in, as [New] needs it.
func (o Options) WithDefaults() Options {
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Trouble is a fault of the disk below the store, or its end, or what somebody
// did to the store's files.
type Trouble struct {
	// What happened, in one sentence for a person, which also says what the
	// store did about it or what to do.
	What string
	// Path of the file or directory.
	Path string
	// Err is the fault; nil if Recovered.
	Err error
	// Recovered: the store is durable again, at Path.
	Recovered bool
	// Displaced: the disk is not to blame. Somebody else has removed, moved,
	// replaced or overwritten the file, or the directory, at Path. Whether
	// everything could be written anew, What tells, and [Mirror.Fault].
	Displaced bool
}
