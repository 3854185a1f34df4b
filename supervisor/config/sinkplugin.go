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

func (o Object) pluginSink() *PluginSink {
	s := &PluginSink{
		Command: o.Words("command"), SHA256: o.Word("sha256"), Settings: sdk.Settings{},
		Timeout: o.Duration("timeout"), Restore: o.Boolean("restore"),
	}
	if len(s.Command) > 0 {
		s.Command[0] = o.executable(s.Command[0])
	}
	for name, value := range o.Settings() {
		s.Settings[name] = sdk.NewSecret(value)
	}
	return s
}

// validateType says whether the type can be one: it is built in, or there may
// be a plugin for it.
func (o Object) validateType(cfg *Config) bool {
	typ := o.Word("type")
	switch {
	case !o.Given("type"):
		o.Report(o.At("type"), "the sink has no type", "write type: "+oneOf(o.l.sinks.types())+", or the name of a plugin")
		return false
	case o.Broken("type"):
		return false
	case o.l.sinks.builtIn[typ] != nil:
		return true
	case !validName(typ):
		message, hint := badName(typ)
		o.Report(o.At("type"), message, hint)
		return false
	case o.Given("command") || o.l.source.KnownSinks == nil || o.l.broken["plugins.dir"]:
		return true
	}
	known := o.l.source.KnownSinks(cfg.Plugins.Dir)
	if slices.Contains(known, typ) {
		return true
	}
	hint := didYouMean(typ, append(o.l.sinks.types(), known...))
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
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (o Object) validatePluginSink(s *PluginSink) {
	AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	Program(o)
}

// serviceFault checks the address of a service that tells people.
func (l *loader) serviceFault(url string) *Fault {
	if url == "" {
		return &Fault{"is empty", "write an address, or remove it"}
	}
	if l.source.CheckNotifyURL == nil {
		return nil
	}
	if err := l.source.CheckNotifyURL(url); err != nil {
		return &Fault{err.Error(), ""}
	}
	return nil
}

func (o Object) validateNotify(s *NotifySink) {
	AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	switch {
	case !o.Given("urls"):
		o.Report(o.At("urls"), "the sink has no urls", "write urls: [\"${env:NAME}\"], each the address of a service, like ntfy://ntfy.sh/topic")
	case len(s.URLs) == 0 && !o.Broken("urls"):
		o.Report(o.At("urls"), "is an empty list", "write at least one address, like ntfy://ntfy.sh/topic")
	}
	o.withoutToken("is never given a token")
}

// withoutToken reports that a refresh token was asked for where no token goes.
func (o Object) withoutToken(why string) {
	if o.Boolean("include_refresh_token") {
		o.Report(o.At("include_refresh_token"), "the sink "+why, "remove the line")
	}
}
