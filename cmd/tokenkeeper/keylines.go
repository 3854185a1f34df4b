package main

import (
	"bytes"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// keyLines finds where keys stand in a YAML file, which is read with the first
// question.
type keyLines struct {
	file  string
	read  bool
	root  *yaml.Node
	below map[*yaml.Node]map[string]keyAt // what stands in each mapping that was asked for
}

type keyAt struct {
	line  int
	value *yaml.Node
}

// of is the line of a key, or of the nearest above it that is there; 0: none is.
func (l *keyLines) of(keys ...string) (line int) {
	if !l.read {
		l.read, l.root, l.below = true, rootOf(l.file), map[*yaml.Node]map[string]keyAt{}
	}
	node := l.root
	for _, key := range keys {
		at, there := l.under(node)[key]
		if !there {
			return line
		}
		node, line = at.value, at.line
	}
	return line
}

func (l *keyLines) under(node *yaml.Node) map[string]keyAt {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	if l.below[node] == nil {
		keys := make(map[string]keyAt, len(node.Content)/2)
		for i := 0; i+1 < len(node.Content); i += 2 {
			key, value := node.Content[i], node.Content[i+1]
			if value.Kind == yaml.AliasNode {
				value = value.Alias
			}
			keys[key.Value] = keyAt{key.Line, value}
		}
		l.below[node] = keys
	}
	return l.below[node]
}

func rootOf(path string) *yaml.Node {
	data, err := config.Read(path)
	if err != nil {
		return nil
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); err != nil || len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}
