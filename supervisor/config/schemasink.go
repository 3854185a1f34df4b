package config

import (
	"maps"
	"slices"
)

// defaultMaxConcurrent is the number of deliveries that one sink has in flight
// at once.
const defaultMaxConcurrent = 4

func commonSinkFields() Fields {
	return Fields{
		"type":                  {Holds: Word},
		"accounts":              {Holds: Words},
		"providers":             {Holds: Words},
		"events":                {Holds: Words},
		"max_concurrent":        {Holds: Number, Default: defaultMaxConcurrent},
		"include_refresh_token": {Holds: Boolean, Default: false},
	}
}

// WithContent adds the keys that say how a token is written.
func WithContent(fields Fields) Fields {
	for _, key := range ContentKeys() {
		fields[key] = Field{Holds: Word}
	}
	return fields
}

// ContentKeys are those that [WithContent] adds.
func ContentKeys() []string { return []string{"format", "template", "timezone"} }

// sinkSchema is what may stand in a sink, by its type.
type sinkSchema struct {
	builtIn map[string]SinkType
	plugin  SinkType            // nil: there are no plugins
	own     map[SinkType]Fields // beside the common ones
	fields  map[SinkType]Fields // all
}

func newSinkSchema(types SinkTypes) sinkSchema {
	s := sinkSchema{map[string]SinkType{}, types.Plugin, map[SinkType]Fields{}, map[SinkType]Fields{}}
	all := types.BuiltIn
	for _, t := range all {
		s.builtIn[t.Name()] = t
	}
	if s.plugin != nil {
		all = append(slices.Clip(all), s.plugin)
	}
	for _, t := range all {
		s.own[t], s.fields[t] = t.Fields(), commonSinkFields()
		maps.Copy(s.fields[t], s.own[t])
	}
	return s
}

// of is the type of that name; one that is not built in is a plugin's. It is nil
// if there can be none.
func (s sinkSchema) of(name string) SinkType {
	if t, ok := s.builtIn[name]; ok {
		return t
	}
	if name == "" {
		return nil
	}
	return s.plugin
}

// fieldsOf are the keys of a type of sinks; nil: there is no such type.
func (s sinkSchema) fieldsOf(name string) Fields { return s.fields[s.of(name)] }

// any are the keys of all types together, because the type may come from
// another layer than the key. A key has the same kind in every type.
func (s sinkSchema) any() Fields {
	all := commonSinkFields()
	for _, fields := range s.own {
		for key, f := range fields {
			f.Default = nil
			all[key] = f
		}
	}
	return all
}

// types that are built in, by name.
func (s sinkSchema) types() []string { return keysOf(s.builtIn) }
