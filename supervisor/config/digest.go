package config

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Digest is what a configuration says, key by key, in a form that can be kept for as
// long as a process runs and compared with that of another load, and not read: in it is
// what references stand for, secrets too. A key that says what would be so without it
// is not there.
type Digest struct {
	// Rest is what stands in no provider, account or sink.
	Rest Sums
	// Of each one that is written down, by its name.
	Providers, Accounts, Sinks map[string]Sums
}

// Sums are those of the values of keys, which are dotted.
type Sums map[string]Sum

// Sum tells a value from others, and does not tell it.
type Sum [sha256.Size / 2]byte

// Digest is zero unless the configuration was loaded with [Source.Comparable].
func (c *Config) Digest() Digest { return c.digest }

// digest is made of a configuration in which nothing is wrong.
func (l *loader) digest(cfg *Config) Digest {
	d := Digest{Rest: Sums{}, Providers: map[string]Sums{}, Accounts: map[string]Sums{}, Sinks: map[string]Sums{}}
	rest := l.root
	rest.fields = maps.Clone(rest.fields)
	for _, section := range []string{"providers", "accounts", "sinks"} {
		delete(rest.fields, section)
	}
	addSums(d.Rest, rest, "")
	// These have defaults that depend on the machine.
	d.Rest["state_dir"], d.Rest["plugins.dir"] = sumOf(cfg.StateDir), sumOf(cfg.Plugins.Dir)
	d.Rest.dropIf("control.socket", cfg.Control.Socket == filepath.Join(cfg.StateDir, "control.sock"))

	for _, name := range l.root.Down("providers").Keys() {
		d.Providers[name] = sumsOf(l.root.Down("providers").Down(name))
	}
	for name, a := range cfg.Accounts {
		l.references.own = ownFileOf(name, a.SharedFile)
		sums := sumsOf(l.root.Down("accounts").Down(name))
		sums.dropIf("refresh.jitter", a.Refresh.Jitter == defaultJitter(a.Refresh))
		sums.dropIf("shared_file.lock", a.SharedFile != nil && a.SharedFile.Lock == a.SharedFile.Path+".lock")
		d.Accounts[name] = sums
	}
	l.references.own = ownFile{}
	for name, s := range cfg.Sinks {
		sums, t := sumsOf(l.sink(name)), s.Traits()
		sums.dropIf("format", s.Content.Format == t.Format)
		sums.dropIf("events", slices.Equal(s.Events, defaultEvents(t)))
		d.Sinks[name] = sums
	}
	return d
}

// dropIf drops a key that says what is so without it.
func (s Sums) dropIf(key string, isDefault bool) {
	if isDefault {
		delete(s, key)
	}
}

func sumOf(text string) (s Sum) {
	whole := sha256.Sum256([]byte(text))
	copy(s[:], whole[:])
	return s
}

func sumsOf(o Object) Sums {
	all := Sums{}
	addSums(all, o, "")
	return all
}

// addSums adds what is written in o, each key with prefix before it.
func addSums(into Sums, o Object, prefix string) {
	for _, key := range o.Keys() {
		f, known := o.fields[key]
		if o.each != nil {
			f, known = *o.each, true
		}
		switch {
		case !known:
		case f.Holds == Nested || f.Holds == Table:
			addSums(into, o.Down(key), prefix+key+".")
		case f.Default != nil && o.value(key) == f.Default:
		default:
			if text := said(o, key, f.Holds); text != "" {
				into[prefix+key] = sumOf(text)
			}
		}
	}
}

// said is the value of a key as a text that another value does not have; "": an empty
// one.
func said(o Object, key string, holds Holding) string {
	switch holds {
	case Text, Secret:
		value, _ := o.Text(key)
		return value
	case Path:
		return o.Path(key)
	case Words:
		return inQuotes(o.Words(key))
	case Secrets, SecretOrList:
		all := o.Words(key)
		for i, raw := range all {
			all[i], _, _ = o.l.references.expand(o.Item(key, i), raw)
		}
		return inQuotes(all)
	case rows:
		all := []string{}
		for _, n := range o.Down(key).Keys() {
			row := o.Down(key).Down(n)
			for _, column := range row.Keys() {
				all = append(all, n, column, said(row, column, row.fields[column].Holds))
			}
		}
		return inQuotes(all)
	default:
		return fmt.Sprint(o.value(key))
	}
}

// inQuotes joins words so that it can be seen which they are.
func inQuotes(words []string) string {
	var b strings.Builder
	for _, word := range words {
		fmt.Fprintf(&b, "%q ", word)
	}
	return b.String()
}
