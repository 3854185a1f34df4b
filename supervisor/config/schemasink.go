package config

import (
	"net/textproto"
	"strings"
	"time"
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

// builtInSinkFields are the keys of each built-in type of sink, beside the
// common ones.
func builtInSinkFields() map[string]Fields {
	return map[string]Fields{
		SinkFile: withContent(Fields{
			"path":         {Holds: Path},
			"mode":         {Holds: Mode},
			"owner":        {Holds: Word},
			"trust_folder": {Holds: Boolean, Default: false},
			"signal":       signalField(),
		}),
		SinkUnixSocket: withContent(Fields{
			"path":          {Holds: Path},
			"direction":     {Holds: Word, Default: directionDial},
			"ack":           {Holds: Word, Default: "ok"},
			"timeout":       {Holds: Duration, Default: 5 * time.Second},
			"attempts":      {Holds: Number, Default: 3},
			"interval":      {Holds: Duration, Default: 5 * time.Second},
			"mode":          {Holds: Mode, Default: 0o600},
			"allow_uids":    {Holds: Words},
			"max_consumers": {Holds: Number, Default: 64},
			"trust_folder":  {Holds: Boolean, Default: false},
		}),
		SinkWebhook: withContent(Fields{
			"url":       {Holds: Text},
			"secret":    {Holds: Secret},
			"headers":   {Holds: Table, Each: &Field{Holds: Secret}, Spell: headerName},
			"timeout":   {Holds: Duration, Default: 10 * time.Second},
			"ca_file":   {Holds: Path},
			"cert_file": {Holds: Path},
			"key_file":  {Holds: Path},
			"proxy":     {Holds: Secret},
		}),
		SinkExec: withContent(Fields{
			"command": {Holds: Words},
			"timeout": {Holds: Duration, Default: 10 * time.Second},
			"signal":  signalField(),
		}),
		SinkNotify: {
			"urls":    {Holds: Secrets},
			"timeout": {Holds: Duration, Default: 10 * time.Second},
		},
	}
}

func headerName(variable string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(variable, "_", "-"))
}

// pluginSinkFields are the keys of a sink that is a plugin, beside the common
// ones.
func pluginSinkFields() Fields {
	return withContent(Fields{
		"command":  {Holds: Words},
		"sha256":   {Holds: Word},
		"settings": {Holds: Table, Each: &Field{Holds: Secret}},
		"timeout":  {Holds: Duration, Default: 30 * time.Second},
		"restore":  {Holds: Boolean, Default: true},
	})
}

// withContent adds the keys that say how a token is written.
func withContent(fields Fields) Fields {
	for _, key := range contentKeys() {
		fields[key] = Field{Holds: Word}
	}
	return fields
}

func contentKeys() []string { return []string{"format", "template", "timezone"} }

func signalField() Field {
	return Field{Holds: Nested, Fields: Fields{
		"pidfile":      {Holds: Path},
		"signal":       {Holds: Word, Default: "HUP"},
		"trust_folder": {Holds: Boolean, Default: false},
	}}
}

// sinkSchema is what may stand in a sink, by its type.
type sinkSchema struct {
	builtIn map[string]Fields
	plugin  Fields
}

func newSinkSchema() sinkSchema { return sinkSchema{builtInSinkFields(), pluginSinkFields()} }

// of are the keys of a type of sink beside the common ones. A type that is not
// built in is a plugin.
func (s sinkSchema) of(typ string) Fields {
	if fields, ok := s.builtIn[typ]; ok {
		return fields
	}
	if typ == "" {
		return nil
	}
	return s.plugin
}

// any are the keys of all types together, because the type may come from
// another layer than the key. A key has the same kind in every type.
func (s sinkSchema) any() Fields {
	all := commonSinkFields()
	add := func(fields Fields) {
		for key, f := range fields {
			f.Default = nil
			all[key] = f
		}
	}
	for _, fields := range s.builtIn {
		add(fields)
	}
	add(s.plugin)
	return all
}

// types that are built in, by name.
func (s sinkSchema) types() []string { return keysOf(s.builtIn) }
