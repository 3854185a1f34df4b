package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// These and the name of a provider, or a type of sinks, are the name of its program
// in the plugin directory.
const (
	ProviderBinary = "tokenkeeper-provider-"
	SinkBinary     = "tokenkeeper-sink-"
)

func (o objectReader) pluginSink() *PluginSink {
	s := &PluginSink{
		Command: o.words("command"), SHA256: o.word("sha256"), Settings: sdk.Settings{},
		Timeout: o.duration("timeout"), Restore: o.boolean("restore"),
	}
	if len(s.Command) > 0 {
		s.Command[0] = o.executable(s.Command[0])
	}
	for name, value := range o.settings() {
		s.Settings[name] = sdk.NewSecret(value)
	}
	return s
}

// validateType says whether the type can be one: it is built in, or there may
// be a plugin for it.
func (o objectReader) validateType(cfg *Config) bool {
	typ := o.word("type")
	switch {
	case !o.given("type"):
		o.report(o.at("type"), "the sink has no type", "write type: "+oneOf(o.sinks.types())+", or the name of a plugin")
		return false
	case o.broken[o.dotted("type")]:
		return false
	case o.sinks.builtIn[typ] != nil:
		return true
	case !validName(typ):
		message, hint := badName(typ)
		o.report(o.at("type"), message, hint)
		return false
	case o.given("command") || o.source.KnownSinks == nil || o.broken["plugins.dir"]:
		return true
	}
	known := o.source.KnownSinks(cfg.Plugins.Dir)
	if slices.Contains(known, typ) {
		return true
	}
	hint := didYouMean(typ, append(o.sinks.types(), known...))
	if hint == "" {
		hint = fmt.Sprintf("put the plugin there, or write its program in %s", o.dotted("command"))
	}
	o.report(o.at("type"), fmt.Sprintf("unknown type %q: it is not built in (as %s are), and there is no %s%s in %s",
		typ, strings.Join(o.sinks.types(), ", "), SinkBinary, typ, cfg.Plugins.Dir), hint)
	return false
}

// oneOf joins words as a sentence does.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (o objectReader) validatePluginSink(s *PluginSink) {
	atLeast(o, "timeout", s.Timeout, time.Millisecond)
	o.validateProgram()
}

// serviceFault checks the address of a service that tells people.
func (l *loader) serviceFault(url string) *fault {
	if url == "" {
		return &fault{"is empty", "write an address, or remove it"}
	}
	if l.source.CheckNotifyURL == nil {
		return nil
	}
	if err := l.source.CheckNotifyURL(url); err != nil {
		return &fault{err.Error(), ""}
	}
	return nil
}

func (o objectReader) validateNotify(s *NotifySink) {
	atLeast(o, "timeout", s.Timeout, time.Millisecond)
	switch {
	case !o.given("urls"):
		o.report(o.at("urls"), "the sink has no urls", "write urls: [\"${env:NAME}\"], each the address of a service, like ntfy://ntfy.sh/topic")
	case len(s.URLs) == 0 && !o.broken[o.dotted("urls")]:
		o.report(o.at("urls"), "is an empty list", "write at least one address, like ntfy://ntfy.sh/topic")
	}
	o.withoutToken("is never given a token")
}

// withoutToken reports that a refresh token was asked for where no token goes.
func (o objectReader) withoutToken(why string) {
	if o.boolean("include_refresh_token") {
		o.report(o.at("include_refresh_token"), "the sink "+why, "remove the line")
	}
}
