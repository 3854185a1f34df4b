package store

import (
	"strings"
	"sync"
)

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
	kept := &memoryBackend{values: make(map[string][]byte)}
	return &Memory{newEngine(kept, nil, nil), kept}
}

// Reopen returns a new handle on what m holds, as a new process would have it.
// Close m first.
func (m *Memory) Reopen() *Memory { return &Memory{newEngine(m.kept, nil, nil), m.kept} }

type memoryBackend struct {
	mu     sync.RWMutex
	values map[string][]byte
}

func (b *memoryBackend) view(fn func(reader)) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	fn(memoryReader(b.values))
	return nil
}

func (b *memoryBackend) update(c change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, value := range c {
		if value == nil {
			delete(b.values, key)
		} else {
			b.values[key] = value
		}
	}
	return nil
}

func (b *memoryBackend) close() error { return nil }

type memoryReader map[string][]byte

func (r memoryReader) get(key string) []byte { return r[key] }

func (r memoryReader) scan(prefix string, fn func(string, []byte)) {
	for key, value := range r {
		if strings.HasPrefix(key, prefix) {
			fn(key, value)
		}
	}
}
