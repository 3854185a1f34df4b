package config

import (
	"slices"
	"strconv"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/coredump"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// envPrefix begins the variables that override the configuration.
const envPrefix = "TOKENKEEPER_"

// EnvFile names the variable that tells the command which file to load. It is
// no part of the configuration.
const EnvFile = "TOKENKEEPER_CONFIG"

// otherVariables are no part of the configuration: EnvFile, the one for
// debugging, and those that are the plugins' own.
func otherVariables() []string {
	return []string{EnvFile, sdk.EnvSpoolDir, sdk.EnvSpoolFallback, sdk.EnvSpoolSlots, sdk.EnvLifeline, sdk.EnvLocks, sdk.EnvHandOver, sdk.Handshake().MagicCookieKey, coredump.EnvAllow}
}

// overrides reads the layers above the file.
type overrides struct {
	*findings
	schema Field
}

// environment is the layer of TOKENKEEPER_… variables: levels are separated by
// two underscores, and a name in the YAML is meant whether it has dashes or
// underscores. What the variable says of a name that the YAML does not have
// makes a new entry.
func (o *overrides) environment(fromFile map[string]any) *env.Env {
	return env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: o.source.Environ,
		TransformFunc: func(name, raw string) (string, any) {
			if slices.Contains(otherVariables(), name) {
				return "", nil
			}
			segments := strings.Split(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__")
			at := Place{file: "environment", key: name, layer: inEnvironment}
			path, f, known := o.locate(segments, fromFile)
			if !known {
				o.unknownVariable(at, name, fromFile)
				return "", nil
			}
			v, ok := o.override(at, f, path, raw)
			if !ok {
				return "", nil
			}
			return dotted(path), v
		},
	})
}

// unknownVariable is an error if the name has the separator that only our own
// have. Others may be somebody else's: Kubernetes sets NAME_SERVICE_HOST and
// more for each service called NAME.
func (o *overrides) unknownVariable(at Place, name string, fromFile map[string]any) {
	var known []string
	for _, path := range leaves(o.schema, fromFile, nil) {
		known = append(known, variable(path))
	}
	hint := ""
	if n := nearest.Of(strings.TrimPrefix(name, envPrefix), known); n != "" {
		hint = "did you mean " + envPrefix + n + "?"
	}
	if strings.Contains(name, "__") {
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

// flags is the layer of flags. It is keyed by dotted paths.
func (o *overrides) flags(fromFile map[string]any) map[string]any {
	values := map[string]any{}
	for _, key := range keysOf(o.source.Flags) {
		at := Place{file: "flags", key: key, layer: inFlags}
		path, f, known := o.locate(strings.Split(key, "."), fromFile)
		if !known {
			var all []string
			for _, path := range leaves(o.schema, fromFile, nil) {
				all = append(all, dotted(path))
			}
			o.report(at, "no such key", nearest.Hint(key, all))
			continue
		}
		if v, ok := o.override(at, f, path, o.source.Flags[key]); ok {
			values[dotted(path)] = v
		}
	}
	return values
}

// override reads one value for path from plain text.
func (o *overrides) override(at Place, f Field, path []string, raw string) (any, bool) {
	if len(path) > 2 && (path[0] == "accounts" || path[0] == "sinks" || path[0] == "providers") && !sdk.ValidName(path[1]) {
		message, hint := badName(path[1])
		o.report(at, message, hint)
		return nil, false
	}
	if f.Holds == rows {
		o.report(at, "can't be given here", "write it into the configuration file")
		return nil, false
	}
	var v any
	if f.Holds == Words || f.Holds == Secrets {
		items := splitWords(raw)
		if f.Holds == Secrets {
			items = strings.Fields(raw) // an address may hold commas
		}
		for i := range items {
			o.places[dotted(path)+"."+strconv.Itoa(i)] = at
		}
		v = items
	} else {
		parsed, fault := parse(f.Holds, raw)
		if fault != nil {
			o.reject(at, dotted(path), fault)
			return nil, false
		}
		v = parsed
	}
	o.places[dotted(path)] = at
	if entry := dotted(path[:min(2, len(path))]); o.places[entry].file == "" {
		o.places[entry] = at // a name that the YAML does not have
	}
	return v, true
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
func (o *overrides) locate(segments []string, fromFile map[string]any) (path []string, f Field, known bool) {
	f = o.schema
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
			s = sameName(s, keysOf(fromFile))
			if f.Spell != nil {
				s = f.Spell(s)
			}
			f = *f.Each
		default:
			return nil, Field{}, false
		}
		path = append(path, s)
		fromFile = child(fromFile, s)
	}
	if f.Holds == Nested || f.Holds == named || f.Holds == Table {
		return nil, Field{}, false
	}
	return path, f, true
}

// sameName returns the existing name that differs from name at most in case
// and in dashes for underscores, or name itself.
func sameName(name string, existing []string) string {
	if slices.Contains(existing, name) {
		return name
	}
	plain := func(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }
	for _, e := range existing {
		if plain(e) == plain(name) {
			return e
		}
	}
	return name
}

// leaves lists the paths of all single values, with the names that the YAML
// has. Keys of tables are the user's own and are left out.
func leaves(f Field, fromFile map[string]any, path []string) (all [][]string) {
	down := func(key string, sub Field) {
		all = append(all, leaves(sub, child(fromFile, key), append(path[:len(path):len(path)], key))...)
	}
	switch f.Holds {
	case Nested:
		for _, key := range keysOf(f.Fields) {
			down(key, f.Fields[key])
		}
	case named:
		for _, name := range keysOf(fromFile) {
			down(name, *f.Each)
		}
	case Table:
	default:
		return [][]string{path}
	}
	return all
}
