package store

// Memory is a [Store] that keeps everything in memory, for tests and
// simulations. Its rules are those of [Journal]: both are the same code over
// another backend.
type Memory struct {
	*engine
	kept *state
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory { return (&Memory{kept: newState()}).Reopen() }

// Reopen returns a new handle on what m holds, as a new process would have it: the next
// one, if m is closed first, or else another keeper's beside m.
func (m *Memory) Reopen() *Memory {
	return &Memory{newEngine(m.kept, memoryBackend{m.kept}, Options{}), m.kept}
}

type memoryBackend struct{ kept *state }

func (b memoryBackend) Update(c map[string][]byte) error { return b.kept.Apply(c) }
func (b memoryBackend) Close() error                     { return nil }
