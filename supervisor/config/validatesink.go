package config

import (
	"fmt"
	"path/filepath"
)

func (l *loader) validateSinks(cfg *Config, taken map[string]string) {
	if len(cfg.Sinks) == 0 && l.nothingUnder("sinks") {
		l.warn(l.root.At("sinks"), "there is no sink: tokens are kept fresh, but delivered nowhere",
			"write one, or read them with \"tokenkeeper token ACCOUNT\"")
	}
	used := l.usedProviders(cfg)
	for _, name := range keysOf(cfg.Sinks) {
		o, s := l.sink(name), cfg.Sinks[name]
		validateRouting(o, cfg, s, used)
		if !validateType(o, cfg) {
			continue
		}
		traits := s.Traits()
		foreignKeys(o, s.Type)
		validateEvents(o, traits)
		s.Destination.Check(o, Surroundings{s, cfg.SinkAccounts(s), l.folders, taken})
		if traits.Content {
			validateContent(o, s, traits)
		}
	}
}

// foreignKeys reports keys that belong to another type of sink.
func foreignKeys(o Object, typ string) {
	for key, e := range o.e.below {
		if _, known := o.fields[key]; !known && (e.given() || e.usable()) {
			o.Report(o.At(key), fmt.Sprintf("unknown key in a sink of type %s", typ), suggest(key, keysOf(o.l.sinks.own[o.l.sinks.of(typ)])))
		}
	}
}

// takenPaths are the files that tokens must not be written to, by their
// canonical path, each with what it is.
func (l *loader) takenPaths(cfg *Config) map[string]string {
	taken := map[string]string{l.folders.canonical(cfg.Control.Socket): "the control socket"}
	if cfg.Log.File != "" {
		taken[l.folders.canonical(cfg.Log.File)] = "log.file"
	}
	if l.source.Bytes == nil && l.source.Path != "" {
		taken[l.folders.canonical(filepath.Join(l.folders.dir, filepath.Base(l.source.Path)))] = "this configuration"
	}
	return taken
}
