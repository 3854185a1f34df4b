package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// document reads the YAML file into entries: the values that are right, each with
// its place, and a problem for every other one. The walk follows the schema, so it
// ends even where an alias holds itself.
type document struct {
	*findings
	path []string // of what is being read
}

func (d *document) read(data []byte, schema Field, into *entry) {
	if root, ok := d.parseYAML(data); ok && root != nil {
		d.value(schema, root, root, into)
	}
}

// parseYAML returns the root of the one document in data, or nil for an empty
// one.
func (d *document) parseYAML(data []byte) (*yaml.Node, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, true
	} else if err != nil {
		d.syntax(data, err)
		return nil, false
	}
	if err := dec.Decode(&next); err == nil {
		d.report(Place{file: d.file, line: next.Line, column: next.Column},
			"a second YAML document begins here", "keep one document in a file")
		return nil, false
	} else if !errors.Is(err, io.EOF) {
		d.syntax(data, err)
		return nil, false
	}
	if len(doc.Content) == 0 || isNull(doc.Content[0]) {
		return nil, true
	}
	return doc.Content[0], true
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// at is where node was written, with the path of what is being read.
func (d *document) at(node *yaml.Node) Place {
	at := d.place(node)
	at.key = dotted(d.path)
	return at
}

// place is at without the path, which follows from where an entry stands.
func (d *document) place(node *yaml.Node) Place {
	return Place{file: d.file, line: node.Line, column: node.Column, layer: inFile}
}

func (d *document) reject(e *entry, node *yaml.Node, wrong *Fault) {
	d.findings.reject(e, d.at(node), wrong)
}

// value reads node; shown is where it was written, which is the alias if node was
// reached through one. Nothing usable is in the entry if there is none.
func (d *document) value(f Field, node, shown *yaml.Node, e *entry) {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	switch f.Holds {
	case Nested, named, Table:
		switch {
		case isNull(node): // everything below it is a comment
		case node.Kind != yaml.MappingNode:
			d.reject(e, shown, wrongType(f.Holds, node))
		default:
			d.mapping(f, node, e)
		}
	case SecretOrList:
		if node.Kind == yaml.SequenceNode {
			d.list(node, shown, e)
			return
		}
		d.single(f.Holds, node, shown, e)
		if text, ok := e.value.(string); ok {
			e.items, e.value = []Place{e.at}, []string{text}
		}
	case Words, Secrets:
		d.list(node, shown, e)
	case rows:
		d.rows(*f.Each, node, shown, e)
	default:
		d.single(f.Holds, node, shown, e)
	}
}

// single reads a single value.
func (d *document) single(k Holding, node, shown *yaml.Node, e *entry) {
	v, fault := parseNode(k, node)
	if fault != nil {
		d.reject(e, shown, fault)
		return
	}
	e.at, e.value = d.place(shown), v
	e.at.literal = node.Style&yaml.LiteralStyle != 0 && node.Line == shown.Line
}

func (d *document) mapping(f Field, node *yaml.Node, e *entry) {
	pairs := len(node.Content) / 2
	fresh := make([]entry, pairs)
	e.below = make(map[string]*entry, pairs)
	odd := map[string]int{} // the lines of keys that have no business here
	for i := range pairs {
		key, val := node.Content[2*i], node.Content[2*i+1]
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			d.report(d.at(key), "a key here is not plain text", "write key: value")
			continue
		}
		d.path = append(d.path, key.Value)
		if sub := e.below[key.Value]; sub.given() || odd[key.Value] > 0 {
			first := odd[key.Value]
			if first == 0 {
				first = sub.line
			}
			d.report(d.at(key), fmt.Sprintf("is there twice, first in line %d", first), "remove or rename one of the two")
		} else if f, known := d.under(f, key, e); !known {
			odd[key.Value] = key.Line
		} else {
			if sub == nil {
				sub = &fresh[i]
				e.below[key.Value] = sub
			}
			sub.line = key.Line
			if f.Holds == Nested || f.Holds == named || f.Holds == Table {
				sub.at = d.place(key)
			}
			d.value(f, val, val, sub)
		}
		d.path = d.path[:len(d.path)-1]
	}
}

// under returns what belongs under a key of f, and reports a key that has no
// business there.
func (d *document) under(f Field, key *yaml.Node, e *entry) (Field, bool) {
	if f.Holds != Nested {
		if f.Holds == named && !sdk.ValidName(key.Value) {
			d.badNames[key.Value] = true
			message, hint := badName(key.Value)
			d.report(d.at(key), message, hint)
			return Field{}, false
		}
		return *f.Each, true
	}
	sub, known := f.Fields[key.Value]
	if !known && key.ShortTag() == "!!merge" {
		d.report(d.at(key), "merge keys are not supported", "write the keys out, or use an alias for a whole value")
	} else if !known {
		d.report(d.at(key), "unknown key", suggest(key.Value, keysOf(f.Fields)))
		if meant := nearest.Of(key.Value, keysOf(f.Fields)); meant != "" { // not to be reported as missing
			e.make(meant).broken = true
		}
	}
	return sub, known
}

func badName(name string) (message, hint string) {
	hint = "use a-z, 0-9, _ and -, and begin with a letter or a digit"
	if better := strings.ToLower(strings.ReplaceAll(name, " ", "-")); better != name && sdk.ValidName(better) {
		hint = fmt.Sprintf("write %q", better)
	}
	return fmt.Sprintf("%q can't be a name", name), hint
}

func (d *document) rows(each Field, node, shown *yaml.Node, e *entry) {
	if node.Kind != yaml.SequenceNode {
		d.reject(e, shown, wrongType(rows, node))
		return
	}
	e.at = d.place(shown)
	for i, item := range node.Content {
		key := strconv.Itoa(i)
		sub := e.make(key)
		sub.at = d.place(item)
		d.path = append(d.path, key)
		d.value(each, item, item, sub)
		if sub.below == nil && !sub.broken {
			d.reject(sub, item, noValue())
		}
		d.path = d.path[:len(d.path)-1]
	}
}

func (d *document) list(node, shown *yaml.Node, e *entry) {
	if node.Kind != yaml.SequenceNode {
		f := wrongType(Words, node)
		if node.Kind == yaml.ScalarNode && !isNull(node) {
			f.Hint = "put it in brackets: [ … ]"
		}
		d.reject(e, shown, f)
		return
	}
	items := []string{}
	e.at, e.items = d.place(shown), make([]Place, len(node.Content))
	for i, item := range node.Content {
		shown := item
		if item.Kind == yaml.AliasNode && item.Alias != nil {
			item = item.Alias
		}
		v, fault := parseNode(Word, item)
		if fault != nil {
			d.report(d.at(shown), fmt.Sprintf("item %d: %s", i+1, fault.Message), fault.Hint)
			e.broken = true
			continue
		}
		e.items[i] = d.place(shown)
		items = append(items, v.(string))
	}
	e.value = items
}
