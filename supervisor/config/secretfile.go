package config

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// resolveFile returns the text that ${file:PATH} or ${file:PATH#key} refers
// to.
func (l *loader) resolveFile(at place, ref string) (string, *fault) {
	written, key := ref, ""
	if i := strings.LastIndexByte(ref, '#'); i >= 0 {
		written, key = ref[:i], ref[i+1:]
		if key == "" {
			return "", &fault{"the reference to " + written + " has no key after #", "name one, or leave out the #"}
		}
	}
	path, fault := l.referencedPath(at, written)
	if fault != nil {
		return "", fault
	}
	if !l.ownsSecret(path) { // whose programs are trusted with what it holds
		l.steered(at, path)
	}
	data, perm, err := readText(path, maxSecretSize)
	if err != nil {
		return l.lastKnown(at, path, written, key, unreadable(written, l.base(at), err))
	}
	if perm&0o004 != 0 && !l.told[path] {
		l.told[path] = true
		l.warn(at, fmt.Sprintf("everyone on this machine can read the secret file %s (mode %#o)", written, perm),
			"chmod 600 "+written)
	}
	value, fault := content(data, written, key)
	if fault != nil {
		return l.lastKnown(at, path, written, key, fault)
	}
	return value, nil
}

func unreadable(written, base string, err error) *fault {
	hint := "let the user who runs tokenkeeper read it"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "create it with chmod 600"
		if !filepath.IsAbs(written) {
			hint += "; its path is relative to " + base
		}
	}
	return &fault{fmt.Sprintf("the secret file %s can't be read: %s", written, reason(err)), hint}
}

// referencedPath makes the path of a ${file:…} absolute. Variables may stand
// in it, as in ${file:${env:CREDENTIALS_DIRECTORY}/name}.
func (l *loader) referencedPath(at place, written string) (string, *fault) {
	if f := notExpanded(written); f != nil {
		return "", f
	}
	path, _, f := l.substitute(at, written, false)
	if f != nil {
		return "", f
	}
	if path == "" {
		return "", &fault{"the reference ${file:…} has no path", "write ${file:PATH}"}
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.base(at), path)
	}
	return path, nil
}

// content takes the wanted text out of a referenced file.
func content(data []byte, written, key string) (string, *fault) {
	if !utf8.Valid(data) || strings.ContainsRune(string(data), 0) {
		return "", &fault{"the secret file " + written + " does not hold text", "refer to a text file in UTF-8"}
	}
	value := string(data)
	if key != "" {
		var fault *fault
		if value, fault = lookup(data, written, key); fault != nil {
			return "", fault
		}
	} else {
		value = strings.TrimRight(value, "\r\n")
	}
	if value == "" {
		return "", &fault{"the secret in " + written + " is empty", "write the secret into it"}
	}
	return value, nil
}

// lookup finds a dotted key in YAML or JSON, which is YAML too.
func lookup(data []byte, written, key string) (string, *fault) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil || len(doc.Content) == 0 {
		// The parser's text may quote the file.
		return "", &fault{"the secret file " + written + " is neither YAML nor JSON",
			"put it right, or leave out #" + key + " to take the whole file"}
	}
	n := find(doc.Content[0], key)
	switch {
	case n == nil:
		return "", &fault{fmt.Sprintf("the secret file %s has no key %s", written, key), "add it, or name the right key after #"}
	case n.Kind != yaml.ScalarNode:
		return "", &fault{fmt.Sprintf("%s in the secret file %s is not text", key, written), "name the key of a single value"}
	case isNull(n):
		return "", nil
	}
	return n.Value, nil
}

// find prefers a key that holds dots itself to the way down through them.
func find(n *yaml.Node, key string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	first, rest, deeper := strings.Cut(key, ".")
	var way *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch n.Content[i].Value {
		case key:
			v := n.Content[i+1]
			if v.Kind == yaml.AliasNode {
				v = v.Alias
			}
			return v
		case first:
			way = n.Content[i+1]
		}
	}
	if !deeper || way == nil {
		return nil
	}
	return find(way, rest)
}
