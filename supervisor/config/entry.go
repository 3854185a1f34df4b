package config

import (
	"maps"
	"slices"
)

// entry is what was written under one key, in the file, the environment and flags
// together: they are read into one tree, in which everything is found from what
// holds it. The methods may be called of nil, which is nothing.
type entry struct {
	at     Place // file is "": it was not written itself. In the file it has no key.
	line   int   // of its key in the file
	broken bool  // it can't be used, which has been reported

	value any               // of a single value or a list; nil: none that can be used
	items []Place           // of a list, by number; those of items that can't be used are zero
	below map[string]*entry // of a mapping
}

// under is what was written under a key of e.
func (e *entry) under(path ...string) *entry {
	for _, key := range path {
		if e == nil {
			return nil
		}
		e = e.below[key]
	}
	return e
}

// make is under, which adds what is missing on the way; what is added to nothing is
// lost.
func (e *entry) make(path ...string) *entry {
	if e == nil {
		return &entry{}
	}
	for _, key := range path {
		sub := e.below[key]
		if sub == nil {
			if e.below == nil {
				e.below = map[string]*entry{}
			}
			sub = &entry{}
			e.below[key] = sub
		}
		e = sub
	}
	return e
}

// given says whether it was written, be it right or wrong.
func (e *entry) given() bool { return e != nil && e.at.file != "" }

// isBroken says whether it can't be used, which has been reported.
func (e *entry) isBroken() bool { return e != nil && e.broken }

// usable says whether there is something to use: a value, or a mapping, which may be
// empty.
func (e *entry) usable() bool {
	switch {
	case e == nil:
		return false
	case e.given() && !e.broken, e.value != nil:
		return true
	}
	for _, sub := range e.below {
		if sub.usable() {
			return true
		}
	}
	return false
}

// keys are those below it under which there is something to use, in order.
func (e *entry) keys() []string {
	if e == nil {
		return nil
	}
	keys := slices.AppendSeq(make([]string, 0, len(e.below)), maps.Keys(e.below))
	keys = slices.DeleteFunc(keys, func(key string) bool { return !e.below[key].usable() })
	slices.Sort(keys)
	return keys
}
