package config

import (
	"maps"
	"slices"
	"time"
)

// schema is everything that may stand in a configuration.
func schema(sinks sinkSchema) Field {
	return Field{Holds: Nested, Fields: Fields{
		"state_dir":     {Holds: Path},
		"fallback_dir":  {Holds: Path},
		"trust":         {Holds: Words},
		"machine_guard": {Holds: Word, Default: "auto"},
		"reload":        {Holds: Word, Default: ReloadManual},
		"control": {Holds: Nested, Fields: Fields{
			"socket":       {Holds: Path},
			"trust_folder": {Holds: Boolean, Default: false},
			"readers":      {Holds: rows, Each: &Field{Holds: Nested, Fields: Fields{"user": {Holds: Word}, "group": {Holds: Word}, "accounts": {Holds: Words}}}},
		}},
		"log": {Holds: Nested, Fields: Fields{
			"level":  {Holds: Word, Default: "info"},
			"format": {Holds: Word, Default: "text"},
			"file":   {Holds: Path},

			"trust_folder":  {Holds: Boolean, Default: false},
			"max_megabytes": {Holds: Number, Default: 0},
			"max_age":       {Holds: Duration, Default: time.Duration(0)},
			"keep":          {Holds: Number, Default: 5},
		}},
		"plugins": {Holds: Nested, Fields: Fields{"dir": {Holds: Path}}},
		"alerts": {Holds: Nested, Fields: Fields{
			"repeat":    {Holds: Duration, Default: 4 * time.Hour},
			"login_due": {Holds: Duration, Default: 24 * time.Hour},
		}},
		"heartbeat": {Holds: Nested, Fields: heartbeatFields()},
		"metrics":   {Holds: Nested, Fields: metricsFields()},
		"providers": {Holds: named, Each: &Field{Holds: Nested, Fields: Fields{
			"command":       {Holds: Words},
			"sha256":        {Holds: Word},
			"settings":      {Holds: Table, Each: &Field{Holds: Text}},
			"max_in_flight": {Holds: Number, Default: defaultMaxInFlight},
			"maintenance": {Holds: rows, Each: &Field{Holds: Nested, Fields: Fields{
				"days": {Holds: Words},
				"from": {Holds: Word},
				"to":   {Holds: Word},
				"zone": {Holds: Word},
			}}},
		}}},
		"accounts": {Holds: named, Each: &Field{Holds: Nested, Fields: Fields{
			"provider":      {Holds: Word},
			"client_id":     {Holds: Text},
			"client_secret": {Holds: SecretOrList},
			"redirect_url":  {Holds: Text},
			"scopes":        {Holds: Words},
			"settings":      {Holds: Table, Each: &Field{Holds: Text}},
			"shared_file": {Holds: Nested, Fields: Fields{
				"path":              {Holds: Path},
				"lock":              {Holds: Path},
				"format":            {Holds: Word},
				"timezone":          {Holds: Word},
				"unsafe_filesystem": {Holds: Boolean, Default: false},
				"trust_folder":      {Holds: Boolean, Default: false},
			}},
			"client_checked_first": {Holds: Boolean, Default: false},
			"refresh": {Holds: Nested, Fields: Fields{
				"before_expiry": {Holds: Duration, Default: time.Duration(0)},
				"every":         {Holds: Duration, Default: time.Duration(0)},
				"jitter":        {Holds: Duration},
				"budget":        {Holds: Word},
				"accept_risk":   {Holds: Boolean, Default: false},
				"max_failures":  {Holds: Number, Default: 5},
				"timeout":       {Holds: Duration, Default: 30 * time.Second},
			}},
		}}},
		"sinks": {Holds: named, Each: &Field{Holds: Nested, Fields: sinks.any()}},
	}}
}

// mostKeptLogs is how many files of the log may be kept.
const mostKeptLogs = 100

// defaultMaxInFlight is the number of refreshes that one provider process
// works on at once.
const defaultMaxInFlight = 4

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
