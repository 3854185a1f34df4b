package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// secretText is what a referenced file holds. Thousands of accounts may have their
// secrets in one, so it is parsed once, and its keys are found without going through
// them all.
type secretText struct {
	data   []byte
	mode   fs.FileMode
	stamp  stamp
	err    error // it could not be read
	isText bool
	// steady: somebody refers to it to whom it is not the shared file of his account.
	steady bool

	parsed bool
	root   *yaml.Node // nil: neither YAML nor JSON
	below  map[*yaml.Node]map[string]sameKey
}

// sameKey are the values of a key: of a file that has it twice, two.
type sameKey struct{ first, last *yaml.Node }

func newSecretText(data []byte) *secretText {
	return &secretText{data: data, isText: utf8.Valid(data) && !bytes.ContainsRune(data, 0), below: map[*yaml.Node]map[string]sameKey{}}
}

// value takes the wanted text out of the file.
func (s *secretText) value(written, key string) (string, *Fault) {
	if !s.isText {
		return "", &Fault{"the secret file " + written + " does not hold text", "refer to a text file in UTF-8"}
	}
	value := ""
	if key == "" {
		value = string(s.data)
	} else {
		var fault *Fault
		if value, fault = s.lookup(written, key); fault != nil {
			return "", fault
		}
	}
	if value = trimmed(value); value == "" {
		return "", &Fault{"the secret in " + written + " is empty", "write the secret into it"}
	}
	return value, nil
}

// lookup finds a dotted key in YAML or JSON, which is YAML too.
func (s *secretText) lookup(written, key string) (string, *Fault) {
	if !s.parsed {
		var doc yaml.Node
		if err := yaml.Unmarshal(s.data, &doc); err == nil && len(doc.Content) > 0 {
			s.root = doc.Content[0]
		}
		s.parsed = true
	}
	if s.root == nil {
		// The parser's text may quote the file.
		return "", &Fault{"the secret file " + written + " is neither YAML nor JSON",
			"put it right, or leave out #" + key + " to take the whole file"}
	}
	n := s.find(s.root, key)
	switch {
	case n == nil:
		return "", &Fault{fmt.Sprintf("the secret file %s has no key %s", written, key), "add it, or name the right key after #"}
	case n.Kind != yaml.ScalarNode:
		return "", &Fault{fmt.Sprintf("%s in the secret file %s is not text", key, written), "name the key of a single value"}
	case isNull(n):
		return "", nil
	}
	return n.Value, nil
}

// find prefers a key that holds dots itself to the way down through them.
func (s *secretText) find(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	keys := s.keysOf(n)
	if v := keys[key].first; v != nil {
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		return v
	}
	first, rest, deeper := strings.Cut(key, ".")
	way := keys[first].last
	if !deeper || way == nil {
		return nil
	}
	return s.find(way, rest)
}

func (s *secretText) keysOf(n *yaml.Node) map[string]sameKey {
	if s.below[n] == nil {
		keys := make(map[string]sameKey, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i].Value, n.Content[i+1]
			same := sameKey{first: keys[name].first, last: value}
			if same.first == nil {
				same.first = value
			}
			keys[name] = same
		}
		s.below[n] = keys
	}
	return s.below[n]
}
