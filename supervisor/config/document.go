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

// document reads the YAML file into a layer: the values that are right, each
// with its place, and a problem for every other one. The walk follows the
// schema, so it ends even where an alias holds itself.
type document struct {
	*findings
	schema Field
}

func (d *document) read(data []byte) map[string]any {
	root, ok := d.parseYAML(data)
	if !ok || root == nil {
		return nil
	}
	values, _ := d.value(d.schema, root, root, "").(map[string]any)
	return values
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

// value reads node, which stands at path; shown is where it was written, which
// is the alias if node was reached through one. It returns nil if there is
// nothing usable.
func (d *document) value(f Field, node, shown *yaml.Node, path string) any {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	at := Place{file: d.file, line: shown.Line, column: shown.Column, layer: inFile, key: path,
		literal: node.Style&yaml.LiteralStyle != 0 && node.Line == shown.Line}
	switch f.Holds {
	case Nested, named, Table:
		if isNull(node) { // everything below it is a comment
			return nil
		}
		if node.Kind != yaml.MappingNode {
			return d.reject(at, path, wrongType(f.Holds, node))
		}
		return d.mapping(f, node, path)
	case Words, Secrets:
		return d.list(node, at, path)
	case rows:
		return d.rows(*f.Each, node, at, path)
	}
	v, fault := parseNode(f.Holds, node)
	if fault != nil {
		return d.reject(at, path, fault)
	}
	d.places[path] = at
	return v
}

func (d *document) mapping(f Field, node *yaml.Node, path string) map[string]any {
	values, lines := map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		here := below(path, key.Value)
		at := Place{file: d.file, line: key.Line, column: key.Column, layer: inFile, key: here}
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			at.key = path
			d.report(at, "a key here is not plain text", "write key: value")
			continue
		}
		if first, twice := lines[key.Value]; twice {
			d.report(at, fmt.Sprintf("is there twice, first in line %d", first), "remove or rename one of the two")
			continue
		}
		lines[key.Value] = key.Line
		sub, known := d.under(f, key, at, path)
		if !known {
			continue
		}
		if sub.Holds == Nested || sub.Holds == named || sub.Holds == Table {
			d.places[here] = at
		}
		v := d.value(sub, val, val, here)
		if v == nil && f.Holds == named && !d.broken[here] {
			v = map[string]any{} // a name with nothing under it is still an entry
		}
		if v != nil {
			values[key.Value] = v
		}
	}
	return values
}

// under returns what belongs under a key of f, and reports a key that has no
// business there.
func (d *document) under(f Field, key *yaml.Node, at Place, path string) (Field, bool) {
	if f.Holds != Nested {
		if f.Holds == named && !sdk.ValidName(key.Value) {
			d.badNames[key.Value] = true
			message, hint := badName(key.Value)
			d.report(at, message, hint)
			return Field{}, false
		}
		return *f.Each, true
	}
	sub, known := f.Fields[key.Value]
	if !known && key.ShortTag() == "!!merge" {
		d.report(at, "merge keys are not supported", "write the keys out, or use an alias for a whole value")
	} else if !known {
		d.report(at, "unknown key", suggest(key.Value, keysOf(f.Fields)))
		if meant := nearest.Of(key.Value, keysOf(f.Fields)); meant != "" { // not to be reported as missing
			d.broken[below(path, meant)] = true
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

func (d *document) rows(each Field, node *yaml.Node, at Place, path string) any {
	if node.Kind != yaml.SequenceNode {
		return d.reject(at, path, wrongType(rows, node))
	}
	d.places[path] = at
	items := map[string]any{}
	for i, item := range node.Content {
		here := below(path, strconv.Itoa(i))
		d.places[here] = Place{file: d.file, line: item.Line, column: item.Column, layer: inFile, key: path}
		if v := d.value(each, item, item, here); v != nil {
			items[strconv.Itoa(i)] = v
		}
	}
	return items
}

func (d *document) list(node *yaml.Node, at Place, path string) any {
	if node.Kind != yaml.SequenceNode {
		f := wrongType(Words, node)
		if node.Kind == yaml.ScalarNode && !isNull(node) {
			f.Hint = "put it in brackets: [ … ]"
		}
		return d.reject(at, path, f)
	}
	d.places[path] = at
	items := []string{}
	for i, item := range node.Content {
		shown := item
		if item.Kind == yaml.AliasNode && item.Alias != nil {
			item = item.Alias
		}
		v, fault := parseNode(Word, item)
		here := Place{file: d.file, line: shown.Line, column: shown.Column, layer: inFile, key: path}
		if fault != nil {
			d.report(here, fmt.Sprintf("item %d: %s", i+1, fault.Message), fault.Hint)
			d.broken[path] = true
			continue
		}
		d.places[below(path, strconv.Itoa(i))] = here
		items = append(items, v.(string))
	}
	return items
}
