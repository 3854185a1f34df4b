package config

import (
	"maps"
	"slices"
	"time"
)

// kind is what a key holds.
type kind int

const (
	// object has the keys of fields.
	object kind = iota
	// named maps a name that the user chooses to objects.
	named
	// table maps keys that the user chooses to one kind of value.
	table
	// word is a choice or a name; references are not resolved in it, so that
	// messages may quote it.
	word
	// text may hold references, and messages never quote it.
	text
	// secret is text that should not stand in clear in a file.
	secret
	// path is a file name; it may hold references, and messages quote it as
	// it was written.
	path
	duration
	number
	boolean
	// words is a list of word.
	words
	// secrets is a list of secret.
	secrets
	// mode is a file's permission bits in octal.
	mode
	// rows is a list of objects, which the file alone can hold. They are kept
	// by their number.
	rows
)

// field describes one key.
type field struct {
	kind   kind
	fields map[string]field // of an object
	each   *field           // of named, table and rows
	// preset is the default, in the type that parse returns; nil: none, or
	// one that depends on other keys.
	preset any
}

// schema is everything that may stand in a configuration.
func schema(sinks sinkSchema) field {
	return field{kind: object, fields: map[string]field{
		"state_dir":     {kind: path},
		"fallback_dir":  {kind: path},
		"trust":         {kind: words},
		"machine_guard": {kind: word, preset: "auto"},
		"control":       {kind: object, fields: map[string]field{"socket": {kind: path}, "trust_folder": {kind: boolean, preset: false}}},
		"log": {kind: object, fields: map[string]field{
			"level":  {kind: word, preset: "info"},
			"format": {kind: word, preset: "text"},
			"file":   {kind: path},

			"trust_folder": {kind: boolean, preset: false},
		}},
		"plugins": {kind: object, fields: map[string]field{"dir": {kind: path}}},
		"alerts": {kind: object, fields: map[string]field{
			"repeat":    {kind: duration, preset: 4 * time.Hour},
			"login_due": {kind: duration, preset: 24 * time.Hour},
		}},
		"providers": {kind: named, each: &field{kind: object, fields: map[string]field{
			"command":       {kind: words},
			"sha256":        {kind: word},
			"settings":      {kind: table, each: &field{kind: text}},
			"max_in_flight": {kind: number, preset: defaultMaxInFlight},
			"maintenance": {kind: rows, each: &field{kind: object, fields: map[string]field{
				"days": {kind: words},
				"from": {kind: word},
				"to":   {kind: word},
				"zone": {kind: word},
			}}},
		}}},
		"accounts": {kind: named, each: &field{kind: object, fields: map[string]field{
			"provider":      {kind: word},
			"client_id":     {kind: text},
			"client_secret": {kind: secret},
			"redirect_url":  {kind: text},
			"scopes":        {kind: words},
			"settings":      {kind: table, each: &field{kind: text}},
			"shared_file": {kind: object, fields: map[string]field{
				"path":              {kind: path},
				"lock":              {kind: path},
				"format":            {kind: word},
				"timezone":          {kind: word},
				"unsafe_filesystem": {kind: boolean, preset: false},
				"trust_folder":      {kind: boolean, preset: false},
			}},
			"refresh": {kind: object, fields: map[string]field{
				"before_expiry": {kind: duration, preset: time.Duration(0)},
				"every":         {kind: duration, preset: time.Duration(0)},
				"jitter":        {kind: duration},
				"max_failures":  {kind: number, preset: 5},
				"timeout":       {kind: duration, preset: 30 * time.Second},
			}},
		}}},
		"sinks": {kind: named, each: &field{kind: object, fields: sinks.any()}},
	}}
}

// defaultMaxInFlight is the number of refreshes that one provider process
// works on at once.
const defaultMaxInFlight = 4

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// child is the object under key, or nil.
func child(tree map[string]any, key string) map[string]any {
	m, _ := tree[key].(map[string]any)
	return m
}
