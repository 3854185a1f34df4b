// Package webhook is the sink that posts each new token to an HTTP receiver,
// signed as the Standard Webhooks specification says
// (https://github.com/standard-webhooks/standard-webhooks).
package webhook

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/webclient"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// DefaultTimeout of one try. The specification recommends 15 to 30 s to those who send
// events; a token that is late is tried again sooner.
const DefaultTimeout = 10 * time.Second

// DefaultContentType of what Config.Encode makes.
const DefaultContentType = "text/plain; charset=utf-8"

// An answer's body is read, and thrown away, if it is no longer than lastWords
// in bytes and here in lastWordsTime.
const (
	lastWords     = 4 << 10
	lastWordsTime = 100 * time.Millisecond
)

// Config is one webhook sink.
type Config struct {
	// URL of the receiver, http or https.
	URL string
	// Secret signs: base64, with the prefix whsec_ or without. Zero: nothing
	// is signed.
	Secret sdk.Secret
	// Headers are sent in addition.
	Headers map[string]sdk.Secret
	// Timeout of one try; 0: DefaultTimeout.
	Timeout time.Duration

	// Encode makes the whole body of a token's delivery, in the place of the
	// specification's envelope; it is signed all the same. nil: the envelope.
	Encode func(format.Document) ([]byte, error)
	// ContentType of what Encode makes; "": DefaultContentType.
	ContentType string

	// RootCAs that the receiver's certificate is checked with; nil: those in
	// CAFile, or the system's.
	RootCAs *x509.CertPool
	// CAFile, in PEM, is read once, before the first connection.
	CAFile string
	// CertFile and KeyFile, in PEM, are shown to the receiver (mutual TLS).
	// They are read again when one of them has changed.
	CertFile, KeyFile string
	// Proxy is the URL of an HTTP or SOCKS 5 proxy, which may hold a password;
	// zero: what the environment says ([http.ProxyFromEnvironment]).
	// [config.NoProxy]: none.
	Proxy sdk.Secret

	// Now is the wall clock, for webhook-timestamp; nil: time.Now.
	Now func() time.Time
}

// Sink posts to one receiver. It implements [sink.Sink], [sink.Notifier],
// [sink.Tester] and [sink.Addressed]. Its errors tell nothing of the URL, the headers, the proxy's
// URL and what the receiver sent: all of them may hold secrets.
type Sink struct {
	cfg    Config
	signer *standardwebhooks.Webhook // nil: nothing is signed
	client *webclient.Client
}

var (
	_ sink.Sink     = (*Sink)(nil)
	_ sink.Notifier = (*Sink)(nil)
	_ sink.Tester   = (*Sink)(nil)

	_ sink.Addressed = (*Sink)(nil)
)

// New checks cfg. It connects to nothing and reads no file: one that is missing
// is missing for this sink's deliveries alone.
func New(cfg Config) (*Sink, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("url: it must be a whole http or https URL, e.g. https://bots.example/token")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.ContentType == "" {
		cfg.ContentType = DefaultContentType
	}
	if _, _, err := mime.ParseMediaType(cfg.ContentType); err != nil {
		return nil, fmt.Errorf("content_type: %q is no media type: use e.g. application/json", cfg.ContentType)
	}
	if err := checkHeaders(cfg.Headers); err != nil {
		return nil, err
	}
	s := &Sink{cfg: cfg}
	if s.client, err = webclient.New(webclient.Config{
		RootCAs: cfg.RootCAs, CAFile: cfg.CAFile, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, Proxy: cfg.Proxy, Timeout: cfg.Timeout,
	}); err != nil {
		return nil, err
	}
	if cfg.Secret.IsZero() {
		return s, nil
	}
	s.signer, err = standardwebhooks.NewWebhook(cfg.Secret.Reveal())
	if err != nil || strings.TrimPrefix(cfg.Secret.Reveal(), "whsec_") == "" {
		return nil, errors.New("secret: it must be base64, e.g. what `openssl rand -base64 32` prints, with whsec_ before it or not")
	}
	return s, nil
}

func checkHeaders(headers map[string]sdk.Secret) error {
	for name, value := range headers {
		if strings.ContainsAny(name, " :\r\n\x00") || strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			return fmt.Errorf("headers: %q or its value holds what a header can't, e.g. a line end from a secret's file", name)
		}
		if strings.HasPrefix(strings.ToLower(name), "webhook-") {
			return fmt.Errorf("headers: %s belongs to the signature and can't be set", name)
		}
	}
	return nil
}

// Address implements [sink.Addressed]: by its headers or a proxy a post comes to the same
// receiver.
func (s *Sink) Address() string { return sink.AddressOf("webhook", sink.URLAddress(s.cfg.URL)) }

// Deliver makes one try. The receiver has the token once it answers with any
// 2xx; what else it says counts for nothing.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	m, err := s.tokenMessage(d)
	if err != nil {
		return err
	}
	_, err = s.post(ctx, m)
	return err
}

// Notify posts the envelope with the alert or the event.
func (s *Sink) Notify(ctx context.Context, n sink.Notice) error {
	m, err := noticeMessage(n)
	if err != nil {
		return err
	}
	_, err = s.post(ctx, m)
	return err
}

// Test posts a signed message of the type "test", which holds no token.
func (s *Sink) Test(ctx context.Context, d sink.Delivery) (done string, err error) {
	m, err := testMessage(d, s.cfg.Now())
	if err != nil {
		return "", err
	}
	status, err := s.post(ctx, m)
	if err != nil {
		return "", err
	}
	signed := "a signed message"
	if s.signer == nil {
		signed = "an unsigned message"
	}
	return fmt.Sprintf("posted %s of type %q without a token; the receiver answered %d", signed, TypeTest, status), nil
}

// post makes one request and judges the answer.
func (s *Sink) post(ctx context.Context, m message) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := s.request(ctx, m)
	if err != nil {
		return 0, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	if resp.ContentLength <= lastWords {
		// What was not read to its end costs the next delivery a connection of
		// its own.
		soon := time.AfterFunc(lastWordsTime, cancel)
		_, _ = io.CopyN(io.Discard, resp.Body, lastWords+1)
		soon.Stop()
	}
	_ = resp.Body.Close()
	return resp.StatusCode, s.judge(resp)
}
