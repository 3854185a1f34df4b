package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document reads the YAML file into a layer: the values that are right, each
// with its place, and a problem for every other one. The walk follows the
// schema, so it ends even where an alias holds itself.
func (l *loader) document(data []byte) map[string]any {
	root, ok := l.parseYAML(data)
	if !ok || root == nil {
		return nil
	}
	values, _ := l.value(l.schema, root, root, "").(map[string]any)
	return values
}

// parseYAML returns the root of the one document in data, or nil for an empty
// one.
func (l *loader) parseYAML(data []byte) (*yaml.Node, bool) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, next yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, true
	} else if err != nil {
		l.syntax(data, err)
		return nil, false
	}
	if err := dec.Decode(&next); err == nil {
		l.report(place{file: l.file, line: next.Line, column: next.Column},
			"a second YAML document begins here", "keep one document in a file")
		return nil, false
	} else if !errors.Is(err, io.EOF) {
		l.syntax(data, err)
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
func (l *loader) value(f field, node, shown *yaml.Node, path string) any {
	if node.Kind == yaml.AliasNode && node.Alias != nil {
		node = node.Alias
	}
	at := place{file: l.file, line: shown.Line, column: shown.Column, layer: inFile, key: path,
		literal: node.Style&yaml.LiteralStyle != 0 && node.Line == shown.Line}
	switch f.kind {
	case object, named, table:
		if isNull(node) { // everything below it is a comment
			return nil
		}
		if node.Kind != yaml.MappingNode {
			return l.reject(at, path, wrongType(f.kind, node))
		}
		return l.mapping(f, node, path)
	case words, secrets:
		return l.list(node, at, path)
	case rows:
		return l.rows(*f.each, node, at, path)
	}
	v, fault := parseNode(f.kind, node)
	if fault != nil {
		return l.reject(at, path, fault)
	}
	l.places[path] = at
	return v
}

// reject reports a value, and remembers that it is there all the same, so that
// nobody reports it as missing.
func (l *loader) reject(at place, path string, f *fault) any {
	l.places[path] = at
	l.broken[path] = true
	l.report(at, f.message, f.hint)
	return nil
}

func (l *loader) mapping(f field, node *yaml.Node, path string) map[string]any {
	values, lines := map[string]any{}, map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, val := node.Content[i], node.Content[i+1]
		here := below(path, key.Value)
		at := place{file: l.file, line: key.Line, column: key.Column, layer: inFile, key: here}
		if key.Kind != yaml.ScalarNode || key.Value == "" {
			at.key = path
			l.report(at, "a key here is not plain text", "write key: value")
			continue
		}
		if first, twice := lines[key.Value]; twice {
			l.report(at, fmt.Sprintf("is there twice, first in line %d", first), "remove or rename one of the two")
			continue
		}
		lines[key.Value] = key.Line
		sub, known := l.under(f, key, at, path)
		if !known {
			continue
		}
		if sub.kind == object || sub.kind == named || sub.kind == table {
			l.places[here] = at
		}
		v := l.value(sub, val, val, here)
		if v == nil && f.kind == named && !l.broken[here] {
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
func (l *loader) under(f field, key *yaml.Node, at place, path string) (field, bool) {
	if f.kind != object {
		if f.kind == named && !validName(key.Value) {
			l.badNames[key.Value] = true
			message, hint := badName(key.Value)
			l.report(at, message, hint)
			return field{}, false
		}
		return *f.each, true
	}
	sub, known := f.fields[key.Value]
	if !known && key.ShortTag() == "!!merge" {
		l.report(at, "merge keys are not supported", "write the keys out, or use an alias for a whole value")
	} else if !known {
		l.report(at, "unknown key", suggest(key.Value, keysOf(f.fields)))
		if meant := nearest(key.Value, keysOf(f.fields)); meant != "" { // not to be reported as missing
			l.broken[below(path, meant)] = true
		}
	}
	return sub, known
}

func badName(name string) (message, hint string) {
	hint = "use a-z, 0-9, _ and -, and begin with a letter or a digit"
	if better := strings.ToLower(strings.ReplaceAll(name, " ", "-")); better != name && validName(better) {
		hint = fmt.Sprintf("write %q", better)
	}
	return fmt.Sprintf("%q can't be a name", name), hint
}

func (l *loader) rows(each field, node *yaml.Node, at place, path string) any {
	if node.Kind != yaml.SequenceNode {
		return l.reject(at, path, wrongType(rows, node))
	}
	l.places[path] = at
	items := map[string]any{}
	for i, item := range node.Content {
		here := below(path, strconv.Itoa(i))
		l.places[here] = place{file: l.file, line: item.Line, column: item.Column, layer: inFile, key: path}
		if v := l.value(each, item, item, here); v != nil {
			items[strconv.Itoa(i)] = v
		}
	}
	return items
}

func (l *loader) list(node *yaml.Node, at place, path string) any {
	if node.Kind != yaml.SequenceNode {
		f := wrongType(words, node)
		if node.Kind == yaml.ScalarNode && !isNull(node) {
			f.hint = "put it in brackets: [ … ]"
		}
		return l.reject(at, path, f)
	}
	l.places[path] = at
	items := []string{}
	for i, item := range node.Content {
		shown := item
		if item.Kind == yaml.AliasNode && item.Alias != nil {
			item = item.Alias
		}
		v, fault := parseNode(word, item)
		here := place{file: l.file, line: shown.Line, column: shown.Column, layer: inFile, key: path}
		if fault != nil {
			l.report(here, fmt.Sprintf("item %d: %s", i+1, fault.message), fault.hint)
			l.broken[path] = true
			continue
		}
		l.places[below(path, strconv.Itoa(i))] = here
		items = append(items, v.(string))
	}
	return items
}
