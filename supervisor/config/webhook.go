package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// noProxy in place of a proxy's URL: none, whatever the environment says.
const noProxy = "none"

func (o Object) webhook() *WebhookSink {
	s := &WebhookSink{
		Secret: o.Secret("secret", signingKey), Headers: o.headers(), Timeout: o.Duration("timeout"),
		CAFile: o.Path("ca_file"), CertFile: o.Path("cert_file"), KeyFile: o.Path("key_file"),
	}
	s.URL, _ = o.Text("url")
	proxy, referenced := o.Text("proxy")
	if f := proxyFault(proxy); f != nil && o.Given("proxy") && !o.Broken("proxy") {
		o.Reject("proxy", f)
	} else if u, err := url.Parse(proxy); err == nil && u.User != nil && !referenced {
		o.InClear("proxy")
	}
	s.Proxy = sdk.NewSecret(proxy)
	return s
}

// proxyFault does not quote the address: it may hold a password.
func proxyFault(proxy string) *Fault {
	if proxy == noProxy {
		return nil
	}
	u, err := url.Parse(proxy)
	if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, u.Scheme) {
		return &Fault{"is not the address of a proxy", "write it like http://proxy.example:3128 or socks5://127.0.0.1:1080, or none"}
	}
	return nil
}

// headers are all kept as secrets, but only one whose name sounds like a
// secret is warned about.
func (o Object) headers() map[string]sdk.Secret {
	table, values := o.Down("headers"), map[string]sdk.Secret{}
	for _, key := range keysOf(table.values) {
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
		if value != "" && !referenced && SoundsSecret(key) {
			table.InClear(key)
		}
	}
	return values
}

// signingKey checks a secret of the Standard Webhooks specification.
func signingKey(secret string) *Fault {
	if secret == "" {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return &Fault{"is not a Standard Webhooks secret: whsec_ and base64",
			"make one with: printf whsec_; openssl rand -base64 32"}
	}
	return nil
}

func (o Object) validateWebhook(sink Sink) {
	s := sink.Webhook
	AtLeast(o, "timeout", s.Timeout, time.Millisecond)
	if Required(o, "url", "https://…") {
		if u := URL(o, "url", s.URL); u != nil && u.Scheme == "http" {
			switch {
			case loopback(u.Hostname()):
				if sink.IncludeRefreshToken {
					o.Warn(o.At("url"), "any user of this machine may listen on that port while the receiver does not, and gets the refresh token",
						"use https with ca_file, or a unixsocket sink, which asks the kernel who is there")
				}
			case sink.Sends(SendToken):
				o.Report(o.At("url"), "tokens would travel to another machine in clear text", "use https")
			default:
				o.Warn(o.At("url"), "alerts will travel in clear text", "use https")
			}
			for _, key := range []string{"ca_file", "cert_file", "key_file"} {
				if o.Given(key) {
					o.Report(o.At(key), "has no effect on an address of http", "use https, or remove the line")
				}
			}
		}
	}
	if s.Secret.IsZero() && !o.Broken("secret") {
		o.Warn(o.At("secret"), "the sink has no secret: the receiver can't tell our posts from forged ones",
			"write secret: ${env:NAME}")
	}
	Steered(o, "ca_file", s.CAFile)
	Steered(o, "cert_file", s.CertFile)
	Steered(o, "key_file", s.KeyFile)
	o.validateCertificates(s)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// validateCertificates loads the files, so that one which is missing or wrong
// is found before a token has to go out.
func (o Object) validateCertificates(s *WebhookSink) {
	if s.CAFile != "" {
		data, _, err := readText(s.CAFile, maxSecretSize)
		if err != nil {
			o.unreadableFile("ca_file", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
			o.badFile("ca_file", "the file holds no certificate in PEM",
				"name the file of the authority's certificate, which begins with -----BEGIN CERTIFICATE-----")
		}
	}
	switch {
	case o.Given("cert_file") && !o.Given("key_file"):
		o.Report(o.At("cert_file"), "the certificate has no key", "write key_file: the file of its private key")
	case o.Given("key_file") && !o.Given("cert_file"):
		o.Report(o.At("key_file"), "the key has no certificate", "write cert_file: the file of its certificate")
	case s.CertFile != "" && s.KeyFile != "":
		o.validateKeyPair(s)
	}
}

func (o Object) validateKeyPair(s *WebhookSink) {
	cert, _, err := readText(s.CertFile, maxSecretSize)
	if err != nil {
		o.unreadableFile("cert_file", err)
	}
	key, mode, keyErr := readText(s.KeyFile, maxSecretSize)
	if keyErr != nil {
		o.unreadableFile("key_file", keyErr)
	} else if mode&0o004 != 0 {
		o.Warn(o.At("key_file"), fmt.Sprintf("everyone on this machine can read the private key (mode %#o)", mode), "chmod 600 it")
	}
	if err != nil || keyErr != nil {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		o.badFile("cert_file", "the certificate and its key can't be used: "+strings.TrimPrefix(err.Error(), "tls: "),
			"name a certificate in PEM, and in key_file the private key that belongs to it")
	}
}

// unreadableFile tells of a file that is named by key.
func (o Object) unreadableFile(key string, err error) {
	hint := "let the user who runs tokenkeeper read it"
	if errors.Is(err, fs.ErrNotExist) {
		hint = "name the right file, or remove the line"
	}
	o.badFile(key, "the file can't be read: "+reason(err), hint)
}

func (o Object) badFile(key, message, hint string) {
	if o.l.source.StrictFiles {
		o.Report(o.At(key), message, hint)
	} else {
		o.Warn(o.At(key), message, hint)
	}
}
