package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/machine"
)

// Owner returns what the store says of its machine; the zero Owner if it says
// nothing, as a new store and one of an earlier version do.
func (e *engine) Owner(ctx context.Context) (o machine.Owner, err error) {
	if err := ctx.Err(); err != nil {
		return o, fmt.Errorf("reading whose store it is: %w", err)
	}
	if err := e.read(func(r reader) { o = readOwner(r.get(keyMachine)) }); err != nil {
		return o, fmt.Errorf("reading whose store it is: %w", err)
	}
	return o, nil
}

// SaveOwner stores whose store it is.
func (e *engine) SaveOwner(ctx context.Context, o machine.Owner) error {
	b, err := json.Marshal(o)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = e.submit(&write{rule: func(d draft) error { d.put(keyMachine, sign(b)); return nil }})
	}
	if err != nil {
		return fmt.Errorf("storing whose store it is: %w", err)
	}
	return nil
}

func readOwner(b []byte) (o machine.Owner) {
	if json.Unmarshal(b, &o) != nil {
		return machine.Owner{}
	}
	return o
}

// OwnerOf is Owner of the store in a directory, without changing anything. Its
// errors are those of [Inspect].
func OwnerOf(dir string) (machine.Owner, error) {
	s, err := inspect(dir)
	if err != nil {
		return machine.Owner{}, err
	}
	return readOwner(s.values[keyMachine]), nil
}
