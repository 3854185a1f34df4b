package config

import (
	"regexp"
	"strings"
)

// references finds what ${…} stand for.
type references struct {
	*findings
	folders  *folders
	steering *steering
	environ  map[string]string
	secrets  map[string]*secretText
	told     map[string]bool // files, and values of several accounts, that were warned about
	fixed    map[string]bool // see [Config.FixedReferences]
	stateDir string
	own      ownFile // of the account that is being read
}

// expand replaces the references in raw, which stands at at, by what they
// refer to: ${env:NAME}, ${file:PATH} and ${file:PATH#key.in.yaml.or.json}. A
// plain "${" is written "$${". What goes wrong is reported, and ok is false;
// the reports name variables, paths and keys, never a value. Of raw, and of what
// it refers to, marks and line ends at either end are cut, and what else is most
// likely no part of it is warned of.
func (r *references) expand(at Place, raw string) (value string, referenced, ok bool) {
	raw = trimmed(raw)
	r.tellOfDirt(at, "", raw)
	if !strings.Contains(raw, "${") {
		r.tellOfVariable(at, raw)
		return raw, false, true
	}
	if r.source.NamesOnly && (leftOut(at.key) || strings.HasPrefix(at.key, "providers.")) {
		return "", true, false
	}
	value, referenced, fault := r.substitute(at, raw, true)
	if fault != nil {
		if !r.source.Secretless || !leftOut(at.key) {
			r.report(at, fault.Message, fault.Hint)
		}
		return "", referenced, false
	}
	return value, referenced, true
}

// leftOut says whether who needs no secret does without the value of a key: those
// of the heartbeat and of metrics, and of accounts and sinks, but for where their files
// are.
func leftOut(key string) bool {
	section, _, _ := strings.Cut(key, ".")
	if section == "heartbeat" || section == "metrics" {
		return true
	}
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
func (r *references) substitute(at Place, raw string, filesToo bool) (value string, referenced bool, f *Fault) {
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
			return "", true, &Fault{"a reference that begins with ${ has no end", "close it with }, or write $${ for a plain ${"}
		}
		resolved, fault := r.resolve(at, after[:end], filesToo)
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
func (r *references) resolve(at Place, ref string, filesToo bool) (string, *Fault) {
	scheme, name, _ := strings.Cut(ref, ":")
	switch {
	case scheme == "env":
		return r.resolveEnv(at, name)
	case scheme == "file" && filesToo:
		return r.resolveFile(at, name)
	case scheme == "file":
		return "", &Fault{"a ${file:…} stands inside another one", "only ${env:NAME} may stand in a path"}
	}
	if hint := r.meantVariable(ref); hint != "" {
		return "", &Fault{"a reference of an unknown kind", "did you mean " + hint + "?"}
	}
	return "", &Fault{"a reference of an unknown kind",
		"write ${env:NAME}, ${file:PATH} or ${file:PATH#key}, or $${ for a plain ${"}
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// credentials is the variable in which systemd names the folder with the credentials
// that it gave a service at its start (systemd.exec(5), Credentials).
const credentials = "CREDENTIALS_DIRECTORY"

func (r *references) resolveEnv(at Place, name string) (string, *Fault) {
	if !variableName.MatchString(name) {
		return "", &Fault{"the reference ${env:…} does not hold the name of a variable", "write ${env:NAME}"}
	}
	value, set := r.environ[name]
	if !set {
		return "", &Fault{"the environment variable " + name + " is not set",
			"set it for the service, or refer to a file with ${file:PATH}"}
	}
	if value = trimmed(value); value == "" {
		return "", &Fault{"the environment variable " + name + " is empty", "give it a value"}
	}
	r.tellOfDirt(at, "the environment variable "+name, value)
	if name != credentials { // what is in that folder counts
		r.fixed["${env:"+name+"}"] = true
	}
	return value, nil
}
