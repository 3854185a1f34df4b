package config

import (
	"encoding/base64"
	"io/fs"
	"regexp"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func (o objectReader) sink(name string) Sink {
	s := Sink{
		Name: name, Type: o.word("type"), Accounts: o.words("accounts"),
		IncludeRefreshToken: o.boolean("include_refresh_token"), Events: []string{SendToken},
		Content: Content{Format: o.word("format"), Template: o.word("template"), Timezone: o.word("timezone")},
	}
	switch s.Type {
	case SinkFile:
		s.File = &FileSink{
			Path: o.pathOf("path"), Mode: fs.FileMode(o.number("mode")), Owner: o.word("owner"),
		}
	case SinkUnixSocket:
		s.UnixSocket = &UnixSocketSink{
			Path: o.pathOf("path"), Ack: o.word("ack"), Timeout: o.duration("timeout"),
			Attempts: o.number("attempts"), Interval: o.duration("interval"),
		}
		if o.word("direction") == directionListen {
			s.UnixSocket.Ack, s.UnixSocket.Listen = "", o.listen()
		}
	case SinkWebhook:
		s.Webhook = &WebhookSink{
			Secret: o.secret("secret", signingKey), Headers: o.headers(), Timeout: o.duration("timeout"),
		}
		s.Webhook.URL, _ = o.text("url")
	case SinkExec:
		s.Exec = o.exec()
	}
	return s
}

// headers are all kept as secrets, but only one whose name sounds like a
// secret is warned about.
func (o objectReader) headers() map[string]sdk.Secret {
	table, values := o.down("headers"), map[string]sdk.Secret{}
	for _, key := range keysOf(table.values) {
		value, referenced := table.text(key)
		if strings.ContainsAny(value, "\r\n") || !regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$").MatchString(key) {
			o.report(table.at(key), "is not a header that can be sent", "write Name: value, in one line")
		}
		values[key] = sdk.NewSecret(value)
		if value != "" && !referenced && soundsSecret(key) {
			table.inClear(key)
		}
	}
	return values
}

// signingKey checks a secret of the Standard Webhooks specification.
func signingKey(secret string) *fault {
	if secret == "" {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return &fault{"is not a Standard Webhooks secret: whsec_ and base64",
			"make one with: echo whsec_$(openssl rand -base64 32)"}
	}
	return nil
}

var secretName = regexp.MustCompile(`(?i)secret|passw|passphrase|private_?key|api[-_]?key|authorization|cookie|[-_]token$|^token$`)

// soundsSecret says whether the value under a name of the user's choice is
// probably a secret.
func soundsSecret(key string) bool {
	return secretName.MatchString(key)
}
