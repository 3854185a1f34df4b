package config

import (
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// EnvPrefix begins the variables that override the configuration.
const EnvPrefix = "TOKENKEEPER_"

// EnvFile names the variable that tells the command which file to load. It is
// no part of the configuration.
const EnvFile = "TOKENKEEPER_CONFIG"

// EnvAccessToken begins the variables in which the command gives a program that it runs
// the tokens of accounts. They are no part of the configuration.
const EnvAccessToken = "TOKENKEEPER_ACCESS_TOKEN"

// otherVariables are no part of the configuration: EnvFile, the one for
// debugging, and those that are the plugins' own.
func otherVariables() []string {
	return []string{EnvFile, sdk.EnvSpoolDir, sdk.EnvSpoolFallback, sdk.EnvSpoolSlots, sdk.EnvLifeline, sdk.EnvLocks, sdk.EnvHandOver, sdk.Handshake().MagicCookieKey, coredump.EnvAllow}
}

// overrides reads the layers above the file, and lays them over it once all are
// read: what they name is looked for in the file alone. koanf has the layers, and
// says which of them a key is taken from; of each value it has the number in read,
// which keeps its place and its type. The file is no layer of its: koanf copies and
// flattens all that it holds at each step, and a file may have very many accounts.
type overrides struct {
	*findings
	schema Field
	root   *entry
	fixed  map[string]bool // see [Config.FixedReferences]

	read  []override
	known []string                     // all variables, once somebody has asked
	names map[*entry]map[string]string // those in the file as sameName compares them
}

// override is one value from above the file.
type override struct {
	at    Place
	path  []string
	value any
	wrong *Fault // it can't be used
	// once: a secret that stands in a variable, which a process is given once.
	once bool
}

func (o *overrides) lay() {
	o.names = map[*entry]map[string]string{}
	above := koanf.New(".")
	o.load(above, o.environment())
	o.load(above, o.flags())
	for _, over := range o.read { // told of, even where a higher layer has another
		if over.wrong != nil {
			o.reject(o.root.make(over.path...), over.at, over.wrong)
		}
	}
	for _, key := range above.Keys() {
		over := o.read[above.Int(key)]
		if over.wrong != nil {
			continue
		}
		if over.once {
			o.fixed[over.at.key] = true
		}
		e := o.root.make(over.path...)
		e.at, e.value = over.at, over.value
		if list, isList := over.value.([]string); isList {
			e.items = slices.Repeat([]Place{over.at}, len(list))
		}
		if name := o.root.make(over.path[:min(2, len(over.path))]...); !name.given() {
			name.at = over.at // the file does not have it
		}
	}
}

func (o *overrides) load(above *koanf.Koanf, layer koanf.Provider) {
	if err := above.Load(layer, nil); err != nil { // values in memory: it can't fail
		o.report(Place{file: o.file}, "can't be merged: "+err.Error(), "")
	}
}

// environment is the layer of the TOKENKEEPER_… variables: levels are separated
// by two underscores, and a name in the YAML is meant whether it has dashes or
// underscores. What the variable says of a name that the YAML does not have
// makes a new entry.
func (o *overrides) environment() *env.Env {
	return env.Provider(".", env.Opt{
		Prefix: EnvPrefix, EnvironFunc: o.source.Environ,
		TransformFunc: func(name, raw string) (key string, number any) {
			if slices.Contains(otherVariables(), name) || strings.HasPrefix(name, EnvAccessToken) {
				return "", nil
			}
			at := Place{file: "environment", key: name, layer: inEnvironment}
			plain := strings.TrimPrefix(name, EnvPrefix)
			path, f, known := o.locate(strings.Split(strings.ToLower(plain), "__"))
			if !known {
				o.unknownVariable(at, plain)
				return "", nil
			}
			return o.add(at, f, path, raw)
		},
	})
}

// unknownVariable is an error if the name has the separator that only our own
// have. Others may be somebody else's: Kubernetes sets NAME_SERVICE_HOST and
// more for each service called NAME.
func (o *overrides) unknownVariable(at Place, key string) {
	if o.known == nil {
		o.known = o.all(variable)
	}
	hint := ""
	if slices.Contains(o.known, key) {
		hint = "two underscores separate the levels of a key, and a name here holds them, or dashes for them: write this key into the configuration file"
	} else if n := nearest.Of(key, o.known); n != "" {
		hint = "did you mean " + EnvPrefix + n + "?"
	}
	if strings.Contains(at.key, "__") {
		o.report(at, "no such key", hint)
		return
	}
	if hint == "" {
		hint = "unset it, or write two underscores between the levels of a key"
	}
	o.warn(at, "has no effect: no such key", hint)
}

// variable names the environment variable for a key, without the prefix.
func variable(path []string) string {
	return strings.ToUpper(strings.ReplaceAll(strings.Join(path, "__"), "-", "_"))
}

// flags is the layer of the flags, which are keyed by dotted paths.
func (o *overrides) flags() koanf.Provider {
	numbers := map[string]any{}
	for _, key := range keysOf(o.source.Flags) {
		at := Place{file: "flags", key: key, layer: inFlags}
		path, f, known := o.locate(strings.Split(key, "."))
		if !known {
			o.report(at, "no such key", nearest.Hint(key, o.all(dotted)))
			continue
		}
		if key, number := o.add(at, f, path, o.source.Flags[key]); key != "" {
			numbers[key] = number
		}
	}
	return confmap.Provider(numbers, ".")
}

// all are the keys that there are, as they are spelt.
func (o *overrides) all(spelt func(path []string) string) (all []string) {
	for _, path := range leaves(o.schema, o.root, nil) {
		all = append(all, spelt(path))
	}
	return all
}

// add reads one value for path from plain text, and returns under which key the
// layers have it and its number in read; key is "" if it can't be given.
func (o *overrides) add(at Place, f Field, path []string, raw string) (key string, number any) {
	if len(path) > 2 && (path[0] == "accounts" || path[0] == "sinks" || path[0] == "providers") && !sdk.ValidName(path[1]) {
		message, hint := badName(path[1])
		o.report(at, message, hint)
		return "", nil
	}
	over := override{at: at, path: path}
	raw = trimmed(raw)
	over.once = at.layer == inEnvironment && !strings.Contains(raw, "${") && f.isSecret(path[len(path)-1])
	switch f.Holds {
	case rows:
		o.report(at, "can't be given here", "write it into the configuration file")
		return "", nil
	case Words:
		over.value = splitWords(raw)
	case Secrets:
		over.value = strings.Fields(raw) // an address may hold commas
	case SecretOrList:
		var one any
		if one, over.wrong = parse(Secret, raw); over.wrong == nil {
			over.value = []string{one.(string)} // which may hold anything
		}
	default:
		over.value, over.wrong = parse(f.Holds, raw)
	}
	o.read = append(o.read, over)
	return dotted(path), len(o.read) - 1
}

// splitWords reads a list from plain text: words separated by commas.
func splitWords(raw string) []string {
	items := []string{}
	for item := range strings.SplitSeq(raw, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// locate finds the single value that segments name.
func (o *overrides) locate(segments []string) (path []string, f Field, known bool) {
	f, e := o.schema, o.root
	for _, s := range segments {
		switch f.Holds {
		case Nested:
			sub, ok := f.Fields[s]
			if !ok {
				return nil, Field{}, false
			}
			f = sub
		case named, Table:
			if s == "" || strings.Contains(s, ".") {
				return nil, Field{}, false
			}
			s = o.sameName(s, e)
			if f.Spell != nil {
				s = f.Spell(s)
			}
			f = *f.Each
		default:
			return nil, Field{}, false
		}
		path, e = append(path, s), e.under(s)
	}
	if f.Holds == Nested || f.Holds == named || f.Holds == Table {
		return nil, Field{}, false
	}
	return path, f, true
}

// sameName returns the name below e that differs from name at most in case
// and in dashes for underscores, or name itself.
func (o *overrides) sameName(name string, e *entry) string {
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	if o.names[e] == nil {
		existing := e.keys()
		o.names[e] = make(map[string]string, len(existing))
		for _, n := range slices.Backward(existing) { // of several the first
			o.names[e][plain(n)] = n
		}
	}
	if other, is := o.names[e][plain(name)]; is && !e.under(name).usable() {
		return other
	}
	return name
}

// leaves lists the paths of all single values, with the names that the YAML
// has. Keys of tables are the user's own and are left out.
func leaves(f Field, e *entry, path []string) (all [][]string) {
	down := func(key string, sub Field) {
		all = append(all, leaves(sub, e.under(key), append(slices.Clip(path), key))...)
	}
	switch f.Holds {
	case Nested:
		for _, key := range keysOf(f.Fields) {
			down(key, f.Fields[key])
		}
	case named:
		for _, name := range e.keys() {
			down(name, *f.Each)
		}
	case Table:
	default:
		return [][]string{path}
	}
	return all
}
