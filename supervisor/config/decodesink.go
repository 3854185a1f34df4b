package config

import (
	"fmt"
	"io/fs"
	"regexp"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func (o objectReader) sink(name string) Sink {
	s := Sink{
		Name: name, Type: o.word("type"),
		Accounts: o.words("accounts"), Providers: o.words("providers"), Events: o.events(),
		IncludeRefreshToken: o.boolean("include_refresh_token"), MaxConcurrent: o.number("max_concurrent"),
	}
	if s.Type == "" {
		return s
	}
	switch s.Type {
	case SinkFile:
		s.File = &FileSink{
			Path: o.pathOf("path"), Mode: fs.FileMode(o.number("mode")), Owner: o.word("owner"),
			TrustFolder: o.boolean("trust_folder"), Signal: o.signal(),
		}
	case SinkUnixSocket:
		s.UnixSocket = &UnixSocketSink{
			Path: o.pathOf("path"), Ack: o.word("ack"), Timeout: o.duration("timeout"),
			Attempts: o.number("attempts"), Interval: o.duration("interval"), AllowUIDs: o.users("allow_uids"),
		}
		if o.word("direction") == directionListen {
			s.UnixSocket.Ack, s.UnixSocket.Listen = "", o.listen()
		}
	case SinkWebhook:
		s.Webhook = o.webhook()
	case SinkExec:
		s.Exec = o.exec()
	case SinkNotify:
		s.Notify = &NotifySink{URLs: o.secretList("urls", o.serviceFault), Timeout: o.duration("timeout")}
	default:
		s.Plugin = o.pluginSink()
	}
	s.Content = o.content(s)
	return s
}

// secretList reads a list of secrets, each with the place of its own. The check
// of each must not quote it. What is broken is left out.
func (o objectReader) secretList(key string, check func(string) *fault) []sdk.Secret {
	var all []sdk.Secret
	for i, raw := range o.words(key) {
		at := o.item(key, i)
		value, referenced, ok := o.expand(at, raw)
		if f := check(value); ok && f != nil {
			o.report(at, fmt.Sprintf("item %d: %s", i+1, f.message), f.hint)
			ok = false
		}
		if !ok {
			o.broken[o.dotted(key)] = true
			continue
		}
		if !referenced {
			o.inClearAt(at)
		}
		all = append(all, sdk.NewSecret(value))
	}
	return all
}

var secretName = regexp.MustCompile(`(?i)secret|passw|passphrase|private_?key|api[-_]?key|authorization|cookie|[-_]token$|^token$`)

// soundsSecret says whether the value under a name of the user's choice is
// probably a secret.
func soundsSecret(key string) bool {
	return secretName.MatchString(key)
}
