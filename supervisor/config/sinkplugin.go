package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/nearest"
)

// These and the name of a provider, or a type of sinks, are the name of its program
// in the plugin directory.
const (
	ProviderBinary = "tokenkeeper-provider-"
	SinkBinary     = "tokenkeeper-sink-"
)

// validateType says whether the type can be one: it is built in, or there may
// be a plugin for it.
func validateType(o Object, cfg *Config) bool {
	typ := o.Word("type")
	switch {
	case !o.Given("type"):
		o.Report(o.At("type"), "the sink has no type", "write type: "+oneOf(o.l.sinks.types())+", or the name of a plugin")
		return false
	case o.Broken("type"):
		return false
	case o.l.sinks.builtIn[typ] != nil:
		return true
	case o.l.sinks.plugin == nil:
		o.Report(o.At("type"), fmt.Sprintf("unknown type %q", typ), suggest(typ, o.l.sinks.types()))
		return false
	case !sdk.ValidName(typ):
		message, hint := badName(typ)
		o.Report(o.At("type"), message, hint)
		return false
	case o.Given("command") || o.l.source.KnownSinks == nil || o.l.root.e.under("plugins", "dir").isBroken() || !o.l.answers(cfg.Plugins.Dir):
		return true
	}
	known := o.l.source.KnownSinks(cfg.Plugins.Dir)
	if slices.Contains(known, typ) {
		return true
	}
	hint := nearest.Hint(typ, append(o.l.sinks.types(), known...))
	if hint == "" {
		hint = fmt.Sprintf("put the plugin there, or write its program in %s", o.dotted("command"))
	}
	o.Report(o.At("type"), fmt.Sprintf("unknown type %q: it is not built in (as %s are), and there is no %s%s in %s",
		typ, strings.Join(o.l.sinks.types(), ", "), SinkBinary, typ, cfg.Plugins.Dir), hint)
	return false
}

// oneOf joins words as a sentence does.
func oneOf(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// WithoutToken reports that a refresh token was asked for where no token goes.
func WithoutToken(o Object, why string) {
	if o.Boolean("include_refresh_token") {
		o.Report(o.At("include_refresh_token"), "the sink "+why, "remove the line")
	}
}
