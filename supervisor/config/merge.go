package config

import (
	"maps"

	merging "github.com/knadh/koanf/maps"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// bulky are the sections that may have very many members. koanf copies and
// flattens all it has at each step, so it gets none of them: a member stays what
// its node was decoded to, and is touched only if another layer names it.
func bulky() []string { return []string{"accounts", "sinks"} }

// merge lays the layers over each other. fromFile is taken over.
func (l *loader) merge(fromFile map[string]any) map[string]any {
	above, reads := koanf.New("."), &overrides{l.findings, l.schema}
	l.lay(above, reads.environment(fromFile))
	l.lay(above, confmap.Provider(reads.flags(fromFile), "."))
	over := above.Raw()

	whole := koanf.New(".")
	l.lay(whole, confmap.Provider(withoutBulky(fromFile), ""))
	l.lay(whole, confmap.Provider(withoutBulky(over), ""))
	merged := whole.Raw()
	for _, section := range bulky() {
		members := map[string]any{}
		merging.Merge(child(fromFile, section), members)
		merging.Merge(child(over, section), members)
		merged[section] = members
	}
	l.underlayAll(merged)
	return merged
}

func (l *loader) lay(k *koanf.Koanf, p koanf.Provider) {
	if err := k.Load(p, nil); err != nil { // values in memory: it can't fail
		l.report(Place{file: l.file}, "can't be merged: "+err.Error(), "")
	}
}

func withoutBulky(layer map[string]any) map[string]any {
	rest := maps.Clone(layer)
	for _, section := range bulky() {
		delete(rest, section)
	}
	return rest
}

// underlayAll adds the lowest layer: the defaults of everything that the others
// name.
func (l *loader) underlayAll(merged map[string]any) {
	underlay(merged, l.schema.Fields)
	for _, section := range []string{"providers", "accounts"} {
		for name := range child(merged, section) {
			underlay(child(child(merged, section), name), l.schema.Fields[section].Each.Fields)
		}
	}
	sinks, common := child(merged, "sinks"), commonSinkFields()
	for name := range sinks {
		sink := child(sinks, name)
		typ, _ := sink["type"].(string)
		underlay(sink, common)
		underlay(sink, l.sinks.fieldsOf(typ))
	}
}

// underlay gives the keys of an object that have no value their defaults, those
// of objects in it included.
func underlay(values map[string]any, fields Fields) {
	for key, f := range fields {
		switch _, given := values[key]; {
		case f.Holds == Nested && !given:
			below := map[string]any{}
			underlay(below, f.Fields)
			values[key] = below
		case f.Holds == Nested:
			underlay(child(values, key), f.Fields)
		case f.Default != nil && !given:
			values[key] = f.Default
		}
	}
}
