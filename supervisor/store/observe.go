package store

import (
	"context"
	"errors"
	"time"
)

// Observe is Open of a store of which nothing is changed: it goes on in memory with what
// the files of the directory hold, and what is stored is gone when it is closed. Nothing is
// made, locked for longer than it is read, or restored: what [Peek] fails with it does.
func Observe(dir string, o Options) (*Journal, error) {
	o = o.WithDefaults()
	newest := source{state: newState()}
	var good bool
	var moved error
	for _, place := range Places(dir, o.Fallback) {
		read, err := Peek(place)
		s := read.file
		switch {
		case errors.Is(err, ErrMoved): // to the other one, or to nowhere that we know
			moved = err
		case err != nil:
			return nil, err
		case s.Good() && (!good || s.Sequence > newest.Sequence):
			newest, good = s, true
		}
	}
	if moved != nil && !good {
		return nil, moved
	}
	return &Journal{newEngine(newest.state, memoryBackend{newest.state}, o), unkept{}, nil}, nil
}

// keeping is what keeps what is in memory beyond this process.
type keeping interface {
	Look()
	Fault() error
	BackupDue(now time.Time) bool
	Backup(ctx context.Context) error
}

// unkept keeps nothing of what was read.
type unkept struct{}

func (unkept) Look()                        {}
func (unkept) Fault() error                 { return nil }
func (unkept) BackupDue(time.Time) bool     { return false }
func (unkept) Backup(context.Context) error { return nil }
