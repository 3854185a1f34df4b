package webhook

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// Types of a payload. Those of notices are PrefixAlert or PrefixLifecycle and
// the event's type, e.g. "alert.needs_login".
const (
	EventType       = "token.refreshed"
	TypeTest        = "test"
	PrefixAlert     = "alert."
	PrefixLifecycle = "lifecycle."
)

// message is one body and what is said about it in the headers.
type message struct {
	id          string
	contentType string
	body        []byte
}

// payload is the envelope, as the specification recommends it.
type payload struct {
	Type string `json:"type"`
	// Timestamp is when it happened: the same for every try.
	Timestamp string `json:"timestamp"`
	// Test marks what a person asked for to see whether it arrives.
	Test bool `json:"test,omitempty"`
	Data any  `json:"data"`
}

func (p payload) message(id string, at time.Time) (message, error) {
	p.Timestamp = at.UTC().Format(time.RFC3339)
	body, err := json.Marshal(p)
	if err != nil {
		// err could quote what can't be written.
		return message{}, fmt.Errorf("%w: its content can't be written as JSON", sink.ErrRefused)
	}
	return message{id, "application/json", body}, nil
}

func (s *Sink) tokenMessage(d sink.Delivery) (message, error) {
	if s.cfg.Encode != nil {
		body, err := s.cfg.Encode(d.Document)
		if err != nil {
			return message{}, fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
		}
		return message{d.ID, s.cfg.ContentType, body}, nil
	}
	data, err := format.Encode(format.JSON, d.Document, format.Options{})
	if err != nil {
		return message{}, fmt.Errorf("%w in its format: %w", sink.ErrRefused, err)
	}
	return payload{Type: EventType, Data: json.RawMessage(data)}.message(d.ID, d.Document.IssuedAt)
}

func noticeMessage(n sink.Notice) (message, error) {
	switch {
	case n.Alert != nil:
		return payload{Type: PrefixAlert + string(n.Alert.Type), Test: n.Test, Data: n.Alert}.message(n.ID, n.Alert.ChangedAt)
	case n.Event != nil:
		return payload{Type: PrefixLifecycle + string(n.Event.Type), Test: n.Test, Data: n.Event}.message(n.ID, n.Event.Time)
	}
	return message{}, fmt.Errorf("%w: the notice is empty", sink.ErrRefused)
}

// testMessage tells whom it is about, and has a new ID each time, so that no
// receiver takes it for one that it knows.
func testMessage(d sink.Delivery, now time.Time) (message, error) {
	about := map[string]string{"account": d.Document.Account, "provider": d.Document.Provider}
	return payload{Type: TypeTest, Test: true, Data: about}.message("msg_test_"+rand.Text(), now)
}

// request returns one signed request.
func (s *Sink) request(ctx context.Context, m message) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, bytes.NewReader(m.body))
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
	req.Header.Set("Content-Type", m.contentType)
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.id)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(now.Unix(), 10))
	if s.signer != nil {
		signature, err := s.signer.Sign(m.id, now, m.body)
		if err != nil {
			return nil, errors.New("the request can't be signed: check the secret")
		}
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	return req, nil
}
