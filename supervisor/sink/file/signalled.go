package file

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/command"
)

// signalled is a file whose reader is told by a signal, once the file has
// been written.
type signalled struct {
	*Sink
	program *command.Signaller
}

// Deliver implements [sink.Sink]. That nobody reads the file at the moment is
// no failure: whoever comes finds it.
func (f signalled) Deliver(ctx context.Context, d sink.Delivery) error {
	if err := f.Sink.Deliver(ctx, d); err != nil {
		return err
	}
	if err := f.program.Deliver(ctx, d); err != nil && !errors.Is(err, sink.ErrAbsent) {
		return fmt.Errorf("the file is written, but the program that reads it could not be told: %w", err)
	}
	return nil
}
