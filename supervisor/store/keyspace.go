package store

import (
	"iter"
	"maps"
	"strings"
)

// keyspace holds values by key, in groups by the first parts of the key, so
// that one sink's ledger costs what is in it and not what is in the store. The
// values that it is given belong to it, and are never changed.
type keyspace struct {
	groups map[string]map[string][]byte
}

func newKeyspace(values map[string][]byte) keyspace {
	k := keyspace{groups: make(map[string]map[string][]byte)}
	for key, value := range values {
		k.put(key, value)
	}
	return k
}

// groupOf is the beginning of a key that it shares with the others of its
// group: "accounts/", "alerts/", "logins/", "ledger/<sink>/".
func groupOf(key string) string {
	n := strings.IndexByte(key, '/') + 1
	if strings.HasPrefix(key, prefixLedger) {
		n += strings.IndexByte(key[n:], '/') + 1
	}
	return key[:n]
}

func (k keyspace) put(key string, value []byte) {
	group := groupOf(key)
	if k.groups[group] == nil {
		k.groups[strings.Clone(group)] = make(map[string][]byte)
	}
	k.groups[group][key] = value
}

func (k keyspace) delete(key string) {
	group := groupOf(key)
	delete(k.groups[group], key)
	if len(k.groups[group]) == 0 {
		delete(k.groups, group)
	}
}

// get implements reader.
func (k keyspace) get(key string) []byte { return k.groups[groupOf(key)][key] }

func (k keyspace) lookup(key string) (value []byte, ok bool) {
	value, ok = k.groups[groupOf(key)][key]
	return value, ok
}

// scan implements reader. It looks at each group, of which there are few, and
// at what is in those that can have keys with the prefix.
func (k keyspace) scan(prefix string, fn func(string, []byte)) {
	for group, values := range k.groups {
		switch {
		case strings.HasPrefix(group, prefix):
			for key, value := range values {
				fn(key, value)
			}
		case strings.HasPrefix(prefix, group):
			for key, value := range values {
				if strings.HasPrefix(key, prefix) {
					fn(key, value)
				}
			}
		}
	}
}

// all yields everything, in no order.
func (k keyspace) all() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, values := range k.groups {
			for key, value := range values {
				if !yield(key, value) {
					return
				}
			}
		}
	}
}

// flat is a copy of everything in one map.
func (k keyspace) flat() map[string][]byte { return maps.Collect(k.all()) }

func (k keyspace) empty() bool { return len(k.groups) == 0 }
