package webhook

import (
	_ "embed" // for the reference
	"encoding/base64"
	"mime"
	"net/textproto"
	"regexp"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Type is "webhook" in the configuration.
type Type struct{}

var (
	_ sink.Type   = Type{}
	_ sink.Unseen = Type{}
)

//go:embed reference.yaml
var reference string

// Name implements [config.SinkType].
func (Type) Name() string { return "webhook" }

// Unseen implements [sink.Unseen].
func (Type) Unseen(config.Sink) string { return "whether the receiver answers" }

// Reference implements [sink.Type].
func (Type) Reference() string { return reference }

// Fields implements [config.SinkType].
func (Type) Fields() config.Fields {
	return config.WithContent(config.Fields{
		"url":       {Holds: config.Text},
		"secret":    {Holds: config.Secret},
		"headers":   {Holds: config.Table, Each: &config.Field{Holds: config.Secret}, Spell: headerName},
		"timeout":   {Holds: config.Duration, Default: DefaultTimeout},
		"ca_file":   {Holds: config.Path},
		"cert_file": {Holds: config.Path},
		"key_file":  {Holds: config.Path},
		"proxy":     {Holds: config.Secret},
	})
}

func headerName(variable string) string {
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(variable, "_", "-"))
}

// To implements [config.Destination]. It leaves out of the address what may be a
// secret.
func (c *Config) To() string {
	before, _, cut := strings.Cut(c.URL, "?")
	if scheme, rest, ok := strings.Cut(before, "://"); ok {
		if host, path, _ := strings.Cut(rest, "/"); strings.Contains(host, "@") {
			_, host, _ = strings.Cut(host, "@")
			before = scheme + "://" + host + "/" + path
		}
	}
	if cut {
		return before + "?…"
	}
	return before
}

// Traits implements [config.Destination].
func (c *Config) Traits() config.Traits {
	return config.Traits{Content: true, Unformatted: "the post is then that of the Standard Webhooks specification"}
}

// New implements [sink.Type].
func (Type) New(s config.Sink, _ sink.With) (sink.Sink, sink.RetryPolicy, error) {
	c := *s.Destination.(*Config)
	policy := sink.LongerThan(c.Timeout)
	if s.Content.Format != "" {
		var err error
		if c.Encode, err = sink.Encoder(s.Content, 0); err != nil {
			return nil, policy, err
		}
		c.ContentType = format.ContentType(s.Content.Format)
		for name, value := range c.Headers {
			if strings.EqualFold(name, "Content-Type") { // whoever wrote the template knows better
				c.ContentType = value.Reveal()
			}
		}
	}
	d, err := New(c)
	return d, policy, err
}

// Read implements [config.SinkType].
func (Type) Read(o config.Object) config.Destination {
	c := &Config{
		Secret: o.Secret("secret", signingKey), Headers: readHeaders(o), Timeout: o.Duration("timeout"),
		CAFile: o.Path("ca_file"), CertFile: o.Path("cert_file"), KeyFile: o.Path("key_file"), Proxy: config.Proxy(o, "proxy"),
	}
	c.URL, _ = o.Text("url")
	return c
}

// readHeaders keeps all of them as secrets, but only one whose name sounds like a
// secret is warned about.
func readHeaders(o config.Object) map[string]sdk.Secret {
	table, values := o.Down("headers"), map[string]sdk.Secret{}
	for _, key := range table.Keys() {
		value, referenced := table.Text(key)
		if strings.ContainsAny(value, "\r\n") || !regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$").MatchString(key) {
			o.Report(table.At(key), "is not a header that can be sent", "write Name: value, in one line")
		}
		switch name := strings.ToLower(key); {
		case strings.HasPrefix(name, "webhook-"):
			o.Report(table.At(key), "belongs to the signature and can't be set", "remove the line")
		case name != "content-type" || table.Broken(key):
		case !o.Given("format"):
			o.Report(table.At(key), "has no effect without a format: the post is then that of the Standard Webhooks specification, which is JSON",
				"write a format too, or remove the line")
		default:
			if _, _, err := mime.ParseMediaType(value); err != nil {
				o.Report(table.At(key), "is not a media type", "write it like application/json")
			}
		}
		values[key] = sdk.NewSecret(value)
		if value != "" && !referenced && config.SoundsSecret(key) {
			table.InClear(key)
		}
	}
	return values
}

// signingKey checks a secret of the Standard Webhooks specification.
func signingKey(secret string) *config.Fault {
	if secret == "" {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return &config.Fault{Message: "is not a Standard Webhooks secret: whsec_ and base64", Hint: "make one with: printf whsec_; openssl rand -base64 32"}
	}
	return nil
}

// Check implements [config.Destination].
func (c *Config) Check(o config.Object, in config.Surroundings) {
	config.AtLeast(o, "timeout", c.Timeout, time.Millisecond)
	if config.Required(o, "url", "https://…") {
		c.checkURL(o, in.Sink)
	}
	if c.Secret.IsZero() && !o.Broken("secret") {
		o.Warn(o.At("secret"), "the sink has no secret: the receiver can't tell our posts from forged ones",
			"write secret: ${env:NAME}")
	}
	config.Steered(o, "ca_file", c.CAFile)
	config.Steered(o, "cert_file", c.CertFile)
	config.Steered(o, "key_file", c.KeyFile)
	config.Authorities(o, "ca_file", c.CAFile)
	config.CertificateAndKey(o, config.File{Key: "cert_file", Path: c.CertFile}, config.File{Key: "key_file", Path: c.KeyFile})
}

// checkURL reports what would be seen or heard by others.
func (c *Config) checkURL(o config.Object, s config.Sink) {
	u := config.URL(o, "url", c.URL)
	if u == nil || u.Scheme != "http" {
		return
	}
	switch {
	case config.Loopback(u):
		if s.IncludeRefreshToken {
			o.Warn(o.At("url"), "any user of this machine may listen on that port while the receiver does not, and gets the refresh token",
				"use https with ca_file, or a unixsocket sink, which asks the kernel who is there")
		}
	case s.Sends(config.SendToken):
		o.Report(o.At("url"), "tokens would travel to another machine in clear text", "use https")
	default:
		o.Warn(o.At("url"), "alerts will travel in clear text", "use https")
	}
	config.OfTLS(o, "ca_file", "cert_file", "key_file")
}
