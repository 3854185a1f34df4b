package store

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A keyspace is a map, whatever its keys are: also those that a newer program
// or nobody wrote.
func TestKeyspace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"accounts", "ledger", "alerts", "newer", "a", "b", ""})
		path := rapid.Custom(func(t *rapid.T) string {
			return strings.Join(rapid.SliceOfN(word, 1, 4).Draw(t, "parts"), "/")
		})
		want, k := map[string][]byte{}, newKeyspace(nil)
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			key := path.Draw(t, "key")
			if rapid.Bool().Draw(t, "put") {
				value := fmt.Append(nil, len(want))
				want[key] = value
				k.put(key, value)
			} else {
				delete(want, key)
				k.delete(key)
			}
		}
		same := func(what string, got, want map[string][]byte) {
			if !maps.EqualFunc(got, want, sameBytes) {
				t.Fatalf("%s: %q, want %q", what, got, want)
			}
		}
		same("flat", k.flat(), want)
		same("made of it", newKeyspace(want).flat(), want)
		if k.empty() != (len(want) == 0) {
			t.Fatalf("empty with %d keys: %v", len(want), k.empty())
		}
		key := path.Draw(t, "sought")
		if value, ok := k.lookup(key); !sameBytes(value, want[key]) && len(want[key]) > 0 || ok != (want[key] != nil) {
			t.Fatalf("%q: %q, %v; want %q", key, value, ok, want[key])
		}
		prefix := path.Draw(t, "prefix")
		found, under := map[string][]byte{}, maps.Clone(want)
		k.scan(prefix, func(key string, value []byte) { found[key] = value })
		maps.DeleteFunc(under, func(key string, _ []byte) bool { return !strings.HasPrefix(key, prefix) })
		same("under "+prefix, found, under)
	})
}

// BenchmarkDeliveries reads the ledger of one sink with a hundred lines, in a
// store in which other sinks have none or a hundred thousand. The two cost the
// same.
func BenchmarkDeliveries(b *testing.B) {
	for _, others := range []int{0, 100_000} {
		b.Run(fmt.Sprint("beside ", others), func(b *testing.B) {
			m := NewMemory()
			line := func(sink string, n int) {
				account := fmt.Sprint("account-", n)
				m.kept.values.put(ledgerKey(sink, account), fmt.Appendf(nil, `{"sink":%q,"account":%q,"version":1}`, sink, account))
			}
			for n := range others {
				line("other", n)
			}
			for n := range 100 {
				line("mine", n)
			}
			for b.Loop() {
				if all, err := m.Deliveries(b.Context(), "mine"); err != nil || len(all) != 100 {
					b.Fatal(len(all), err)
				}
			}
		})
	}
}

// What Heads remembers is never given for a record of other bytes.
func TestHeadsOpenWhatIsNew(t *testing.T) {
	ctx, m := t.Context(), NewMemory()
	opened := func() (n int) {
		before := maps.Clone(m.heads.known)
		if _, err := m.Heads(ctx); err != nil {
			t.Fatal(err)
		}
		for account, now := range m.heads.known {
			if !sameBytes(before[account].from, now.from) {
				n++
			}
		}
		return n
	}
	expect := func(when string, want int) {
		t.Helper()
		if n := opened(); n != want {
			t.Errorf("%s: %d records were opened, want %d", when, n, want)
		}
	}
	for _, account := range []string{"a", "b", "c"} {
		if err := m.Commit(ctx, record(account, 1)); err != nil {
			t.Fatal(err)
		}
	}
	expect("at first", 3)
	expect("again", 0)
	if err := m.Commit(ctx, record("b", 2)); err != nil {
		t.Fatal(err)
	}
	expect("after a commit", 1)
	// The same version from elsewhere, as a backup brings it.
	other := record("b", 2)
	other.Provider = "other"
	b, err := seal(other)
	if err != nil {
		t.Fatal(err)
	}
	m.kept.values.put(recordKey("b"), b)
	heads, err := m.Heads(ctx)
	if err != nil || heads[1].Provider != "other" {
		t.Errorf("heads are %+v (%v), and the record is of provider %q", heads, err, other.Provider)
	}
}
