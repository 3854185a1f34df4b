package plugin

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// delivery is what the plugin gets: nothing that the document does not hold.
func (s *Sink) delivery(d sink.Delivery, content []byte) sdk.DeliverRequest {
	doc := d.Document
	t := sdk.Token{
		AccessToken: doc.AccessToken, RefreshToken: doc.RefreshToken, IDToken: doc.IDToken,
		TokenType: doc.TokenType, Scope: doc.Scope, Extra: doc.Extra, IssuedAt: doc.IssuedAt, Uncertain: doc.Uncertain,
	}
	if !doc.Expiry.IsZero() {
		if t.IssuedAt.IsZero() {
			t.IssuedAt = doc.Expiry.Add(-time.Second) // it is not known
		}
		t.Lifetime = doc.Expiry.Sub(t.IssuedAt)
	}
	var refreshExpiry time.Time
	if !doc.RefreshToken.IsZero() {
		refreshExpiry = doc.RefreshExpiry
	}
	return sdk.DeliverRequest{
		ID: d.ID, Sink: s.cfg.Name, Settings: s.cfg.Settings,
		Account: doc.Account, Provider: doc.Provider, Version: d.Version,
		Token: t, RefreshExpiry: refreshExpiry, Content: sdk.NewSecret(string(content)),
	}
}

// notice is what the plugin is told.
func (s *Sink) notice(n sink.Notice) (sdk.NotifyRequest, error) {
	r := sdk.NotifyRequest{ID: n.ID, Sink: s.cfg.Name, Settings: s.cfg.Settings, Kind: string(n.Kind)}
	var whole any
	switch {
	case n.Alert != nil:
		a := n.Alert
		r.Type, r.State, r.Message, r.Since, r.Time = string(a.Type), string(a.State), a.Message, a.Since, a.ChangedAt
		r.Account, r.Provider, r.OfSink = a.Account, a.Provider, a.Sink
		whole = a
	case n.Event != nil:
		e := n.Event
		r.Type, r.Message, r.Time = string(e.Type), e.Message, e.Time
		r.Account, r.Provider, r.OfSink = e.Account, e.Provider, e.Sink
		whole = e
	default:
		return r, fmt.Errorf("%w: the notice is empty", sink.ErrRefused)
	}
	content, err := json.Marshal(whole)
	if err != nil {
		return r, fmt.Errorf("%w as JSON: %w", sink.ErrRefused, err)
	}
	r.Content = string(content)
	return r, nil
}
