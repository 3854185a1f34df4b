// Package webhook is the sink that posts each new token to an HTTP receiver,
// signed as the Standard Webhooks specification says
// (https://github.com/standard-webhooks/standard-webhooks).
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// DefaultTimeout of one try; the specification recommends 15 to 30 s.
const DefaultTimeout = 15 * time.Second

// EventType is the payload's type.
const EventType = "token.refreshed"

// idleTimeout of a connection: long enough for all accounts of a start to use
// it, short enough that none is kept between refreshes.
const idleTimeout = 5 * time.Second

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
	// Encode makes the payload's data, a JSON object; nil: format json.
	Encode func(format.Document) ([]byte, error)
	// RootCAs that the receiver's certificate is checked with; nil: the
	// system's.
	RootCAs *x509.CertPool
	// Now is the wall clock, for webhook-timestamp; nil: time.Now.
	Now func() time.Time
}

// Sink posts to one receiver. It implements [sink.Sink].
type Sink struct {
	cfg    Config
	signer *standardwebhooks.Webhook // nil: nothing is signed
	client *http.Client
}

var _ sink.Sink = (*Sink)(nil)

// New checks cfg and connects to nothing. Its errors tell neither the URL nor
// the secret.
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
	if cfg.Encode == nil {
		cfg.Encode = func(d format.Document) ([]byte, error) {
			return format.Encode(format.JSON, d, format.Options{})
		}
	}
	for name, value := range cfg.Headers {
		if strings.ContainsAny(name, " :\r\n\x00") || strings.ContainsAny(value.Reveal(), "\r\n\x00") {
			return nil, fmt.Errorf("headers: %q or its value holds what a header can't, e.g. a line end from a secret's file", name)
		}
		if strings.HasPrefix(strings.ToLower(name), "webhook-") {
			return nil, fmt.Errorf("headers: %s belongs to the signature and can't be set", name)
		}
	}
	s := &Sink{cfg: cfg, client: client(cfg.RootCAs)}
	if cfg.Secret.IsZero() {
		return s, nil
	}
	s.signer, err = standardwebhooks.NewWebhook(cfg.Secret.Reveal())
	if err != nil || strings.TrimPrefix(cfg.Secret.Reveal(), "whsec_") == "" {
		return nil, errors.New("secret: it must be base64, e.g. what `openssl rand -base64 32` prints, with whsec_ before it or not")
	}
	return s, nil
}

// client returns one that follows no redirect and keeps no connection for
// long.
func client(roots *x509.CertPool) *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2:      true,
			IdleConnTimeout:        idleTimeout,
			MaxIdleConns:           4,
			MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// payload is the body, as the specification recommends it.
type payload struct {
	Type string `json:"type"`
	// Timestamp is when the token was issued: the same for every try.
	Timestamp string          `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
}

// Deliver makes one try. The receiver has the token once it answers with any
// 2xx; what else it says is not read.
func (s *Sink) Deliver(ctx context.Context, d sink.Delivery) error {
	data, err := s.cfg.Encode(d.Document)
	if err != nil {
		return fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	body, err := json.Marshal(payload{EventType, d.Document.IssuedAt.UTC().Format(time.RFC3339), data})
	if err != nil {
		return fmt.Errorf("%w: the format makes no JSON", sink.ErrRefused) // err could quote it
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	req, err := s.request(ctx, d.ID, body)
	if err != nil {
		return err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return s.explain(ctx, err)
	}
	// An unread body ends the connection; a receiver that has nothing to say
	// sends none.
	_ = resp.Body.Close()
	return s.judge(resp)
}

// request returns one signed request.
func (s *Sink) request(ctx context.Context, id string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request can't be made: check the url") // err would quote it
	}
	req.Header.Set("User-Agent", "tokenkeeper")
	for name, value := range s.cfg.Headers {
		req.Header.Set(name, value.Reveal())
		if strings.EqualFold(name, "Host") {
			req.Host = value.Reveal()
		}
	}
	now := s.cfg.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(standardwebhooks.HeaderWebhookID, id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if s.signer != nil {
		signature, err := s.signer.Sign(id, now, body)
		if err != nil {
			return nil, errors.New("the request can't be signed: check the secret")
		}
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	return req, nil
}
