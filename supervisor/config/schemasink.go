package config

import (
	"time"
)

// defaultMaxConcurrent is the number of deliveries that one sink has in flight
// at once.
const defaultMaxConcurrent = 4

func commonSinkFields() map[string]field {
	return map[string]field{
		"type":                  {kind: word},
		"accounts":              {kind: words},
		"providers":             {kind: words},
		"events":                {kind: words},
		"max_concurrent":        {kind: number, preset: defaultMaxConcurrent},
		"include_refresh_token": {kind: boolean, preset: false},
	}
}

// builtInSinkFields are the keys of each built-in type of sink, beside the
// common ones.
func builtInSinkFields() map[string]map[string]field {
	return map[string]map[string]field{
		SinkFile: withContent(map[string]field{
			"path":         {kind: path},
			"mode":         {kind: mode},
			"owner":        {kind: word},
			"trust_folder": {kind: boolean, preset: false},
			"signal":       signalField(),
		}),
		SinkUnixSocket: withContent(map[string]field{
			"path":          {kind: path},
			"direction":     {kind: word, preset: directionDial},
			"ack":           {kind: word, preset: "ok"},
			"timeout":       {kind: duration, preset: 5 * time.Second},
			"attempts":      {kind: number, preset: 3},
			"interval":      {kind: duration, preset: 5 * time.Second},
			"mode":          {kind: mode, preset: 0o600},
			"allow_uids":    {kind: words},
			"max_consumers": {kind: number, preset: 64},
			"trust_folder":  {kind: boolean, preset: false},
		}),
		SinkWebhook: withContent(map[string]field{
			"url":       {kind: text},
			"secret":    {kind: secret},
			"headers":   {kind: table, each: &field{kind: secret}},
			"timeout":   {kind: duration, preset: 10 * time.Second},
			"ca_file":   {kind: path},
			"cert_file": {kind: path},
			"key_file":  {kind: path},
			"proxy":     {kind: secret},
		}),
		SinkExec: withContent(map[string]field{
			"command": {kind: words},
			"timeout": {kind: duration, preset: 10 * time.Second},
			"signal":  signalField(),
		}),
		SinkNotify: {
			"urls":    {kind: secrets},
			"timeout": {kind: duration, preset: 10 * time.Second},
		},
	}
}

// pluginSinkFields are the keys of a sink that is a plugin, beside the common
// ones.
func pluginSinkFields() map[string]field {
	return withContent(map[string]field{
		"command":  {kind: words},
		"sha256":   {kind: word},
		"settings": {kind: table, each: &field{kind: secret}},
		"timeout":  {kind: duration, preset: 30 * time.Second},
		"restore":  {kind: boolean, preset: true},
	})
}

// withContent adds the keys that say how a token is written.
func withContent(fields map[string]field) map[string]field {
	for _, key := range contentKeys() {
		fields[key] = field{kind: word}
	}
	return fields
}

func contentKeys() []string { return []string{"format", "template", "timezone"} }

func signalField() field {
	return field{kind: object, fields: map[string]field{
		"pidfile":      {kind: path},
		"signal":       {kind: word, preset: "HUP"},
		"trust_folder": {kind: boolean, preset: false},
	}}
}

// sinkSchema is what may stand in a sink, by its type.
type sinkSchema struct {
	builtIn map[string]map[string]field
	plugin  map[string]field
}

func newSinkSchema() sinkSchema { return sinkSchema{builtInSinkFields(), pluginSinkFields()} }

// of are the keys of a type of sink beside the common ones. A type that is not
// built in is a plugin.
func (s sinkSchema) of(typ string) map[string]field {
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
func (s sinkSchema) any() map[string]field {
	all := commonSinkFields()
	add := func(fields map[string]field) {
		for key, f := range fields {
			f.preset = nil
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
