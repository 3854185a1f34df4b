package configfile

import (
	"strings"
	"time"
)

// This file keeps that a reload has failed, for as long as that is a trouble.

// Failure is of the last reload.
type Failure struct {
	At time.Time
	// Why in one line, the first of what was said.
	Why string
	// half: not all that ran goes on, whatever the file says.
	half bool
}

// Failed says that the supervisor could not go on with what the file says; half, that
// some of what ran before is not there any more either.
func (f *File) Failed(why error, half bool) {
	text, _, _ := strings.Cut(why.Error(), "\n")
	f.failed.Store(&Failure{At: f.cfg.Wall(), Why: text, half: half})
}

// Failure is that of the last reload; nil: it has not failed, or what runs is what the
// file says again.
func (f *File) Failure() *Failure {
	if f.failed.Load() != nil {
		f.Glance()
	}
	return f.failed.Load()
}

// same says that the file was found to say what runs, by who began to look when that was
// the last failure.
func (f *File) same(last *Failure) {
	if last != nil && !last.half {
		f.failed.CompareAndSwap(last, nil)
	}
}
