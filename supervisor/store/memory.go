package store

import "sync"

// Memory is a [Store] that keeps everything in memory, for tests and
// simulations. Its rules are those of [Bolt]: both are the same code over
// another backend.
type Memory struct {
	*engine
	kept *memoryBackend
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	kept := &memoryBackend{values: newKeyspace(nil)}
	return &Memory{newEngine(kept, nil, nil), kept}
}

// Reopen returns a new handle on what m holds, as a new process would have it.
// Close m first.
func (m *Memory) Reopen() *Memory { return &Memory{newEngine(m.kept, nil, nil), m.kept} }

type memoryBackend struct {
	mu     sync.RWMutex
	values keyspace
}

func (b *memoryBackend) view(fn func(reader)) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	fn(b.values)
	return nil
}

func (b *memoryBackend) update(c change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, value := range c {
		if value == nil {
			b.values.delete(key)
		} else {
			b.values.put(key, value)
		}
	}
	return nil
}

func (b *memoryBackend) close() error { return nil }
