package config

import (
	"regexp"
	"strings"
)

// expand replaces the references in raw, which stands at at, by what they
// refer to: ${env:NAME}, ${file:PATH} and ${file:PATH#key.in.yaml.or.json}. A
// plain "${" is written "$${". What goes wrong is reported, and ok is false;
// the reports name variables, paths and keys, never a value.
func (l *loader) expand(at place, raw string) (value string, referenced, ok bool) {
	value, referenced, fault := l.substitute(at, raw, true)
	if fault != nil {
		if !l.source.Secretless || !leftOut(at.key) {
			l.report(at, fault.message, fault.hint)
		}
		return "", referenced, false
	}
	return value, referenced, true
}

// leftOut says whether who needs no secret does without the value of a key: those
// of accounts and sinks, but for where their files are.
func leftOut(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	if section != "accounts" && section != "sinks" {
		return false
	}
	switch key[strings.LastIndexByte(key, '.')+1:] {
	case "path", "lock", "provider", "type":
		return false
	}
	return true
}

// substitute does it once: what a reference stands for is not looked at for
// further references.
func (l *loader) substitute(at place, raw string, filesToo bool) (value string, referenced bool, f *fault) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(raw, "${")
		b.WriteString(before)
		if !found {
			return b.String(), referenced, nil
		}
		if strings.HasSuffix(before, "$") { // $${
			b.WriteString("{")
			raw = after
			continue
		}
		end := closing(after)
		if end < 0 {
			return "", true, &fault{"a reference that begins with ${ has no end", "close it with }, or write $${ for a plain ${"}
		}
		resolved, fault := l.resolve(at, after[:end], filesToo)
		if fault != nil {
			return "", true, fault
		}
		b.WriteString(resolved)
		referenced, raw = true, after[end+1:]
	}
}

// closing is the index of the } that ends a reference in whose text others
// may stand, or -1.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			depth++
		case s[i] == '}' && depth == 0:
			return i
		case s[i] == '}':
			depth--
		}
	}
	return -1
}

// resolve returns what one reference refers to.
func (l *loader) resolve(at place, ref string, filesToo bool) (string, *fault) {
	scheme, name, _ := strings.Cut(ref, ":")
	switch {
	case scheme == "env":
		return l.resolveEnv(name)
	case scheme == "file" && filesToo:
		return l.resolveFile(at, name)
	case scheme == "file":
		return "", &fault{"a ${file:…} stands inside another one", "only ${env:NAME} may stand in a path"}
	}
	return "", &fault{"a reference of an unknown kind",
		"write ${env:NAME}, ${file:PATH} or ${file:PATH#key}, or $${ for a plain ${"}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (l *loader) resolveEnv(name string) (string, *fault) {
	if !variableName.MatchString(name) {
		return "", &fault{"the reference ${env:…} does not hold the name of a variable", "write ${env:NAME}"}
	}
	value, set := l.environ[name]
	if !set {
		return "", &fault{"the environment variable " + name + " is not set",
			"set it for the service, or refer to a file with ${file:PATH}"}
	}
	if value == "" {
		return "", &fault{"the environment variable " + name + " is empty", "give it a value"}
	}
	return value, nil
}
