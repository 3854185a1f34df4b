package sdk

import (
	"time"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/sink/v1"
)

// This file is the thin facade between a sink's messages and the types that
// people use; each pair is each other's inverse, but for what a token does not
// show to a sink: Private, RefreshLifetime and Skew.

func toDelivery(m *pb.DeliverRequest) DeliverRequest {
	t := m.GetToken()
	r := DeliverRequest{
		ID:       m.GetId(),
		Sink:     m.GetDestination().GetSink(),
		Settings: toSecrets(m.GetDestination().GetSettings()),
		Account:  m.GetAccount(),
		Provider: m.GetProvider(),
		Version:  m.GetVersion(),
		Token: Token{
			AccessToken:  NewSecret(t.GetAccessToken()),
			RefreshToken: NewSecret(t.GetRefreshToken()),
			TokenType:    t.GetTokenType(),
			Scope:        t.GetScope(),
			IDToken:      NewSecret(t.GetIdToken()),
			IssuedAt:     toTime(t.GetIssuedAt()),
			Extra:        t.GetExtra(),
			Uncertain:    t.GetExpiryUncertain(),
		},
		RefreshExpiry: toTime(t.GetRefreshExpiry()),
		Content:       NewSecret(string(m.GetContent())),
	}
	if expiry := toTime(t.GetExpiry()); !expiry.IsZero() {
		if r.Token.IssuedAt.IsZero() {
			r.Token.IssuedAt = expiry.Add(-time.Second) // it is not known; a lifetime of 0 would say that the expiry is not
		}
		r.Token.Lifetime = expiry.Sub(r.Token.IssuedAt)
	}
	return r
}

func fromDelivery(r DeliverRequest) *pb.DeliverRequest {
	return &pb.DeliverRequest{
		Id:          r.ID,
		Destination: fromDestination(r.Sink, r.Settings),
		Account:     r.Account,
		Provider:    r.Provider,
		Version:     r.Version,
		Token: &pb.Token{
			AccessToken:   r.Token.AccessToken.Reveal(),
			RefreshToken:  r.Token.RefreshToken.Reveal(),
			TokenType:     r.Token.TokenType,
			Scope:         r.Token.Scope,
			IdToken:       r.Token.IDToken.Reveal(),
			IssuedAt:      fromTime(r.Token.IssuedAt),
			Expiry:        fromTime(r.Token.Expiry()),
			RefreshExpiry: fromTime(r.RefreshExpiry),
			Extra:         r.Token.Extra,

			ExpiryUncertain: r.Token.Uncertain,
		},
		Content: []byte(r.Content.Reveal()),
	}
}

func fromDestination(sink string, settings Settings) *pb.Destination {
	return &pb.Destination{Sink: sink, Settings: fromSecrets(settings)}
}

func toRestore(m *pb.RestoreRequest) RestoreRequest {
	return RestoreRequest{
		Sink:     m.GetDestination().GetSink(),
		Settings: toSecrets(m.GetDestination().GetSettings()),
		Account:  m.GetAccount(),
		Provider: m.GetProvider(),
	}
}

func fromRestore(r RestoreRequest) *pb.RestoreRequest {
	return &pb.RestoreRequest{
		Destination: fromDestination(r.Sink, r.Settings), Account: r.Account, Provider: r.Provider,
	}
}

func toRestored(m *pb.RestoreResponse) Restored {
	return Restored{Content: NewSecret(string(m.GetContent())), StoredAt: toTime(m.GetStoredAt())}
}

func fromRestored(r Restored) *pb.RestoreResponse {
	return &pb.RestoreResponse{Content: []byte(r.Content.Reveal()), StoredAt: fromTime(r.StoredAt)}
}

func toHolds(m *pb.HoldsRequest) HoldsRequest {
	return HoldsRequest{
		Sink:        m.GetDestination().GetSink(),
		Settings:    toSecrets(m.GetDestination().GetSettings()),
		Account:     m.GetAccount(),
		Provider:    m.GetProvider(),
		Version:     m.GetVersion(),
		DeliveredAt: toTime(m.GetDeliveredAt()),
	}
}

func fromHolds(r HoldsRequest) *pb.HoldsRequest {
	return &pb.HoldsRequest{
		Destination: fromDestination(r.Sink, r.Settings), Account: r.Account, Provider: r.Provider,
		Version: r.Version, DeliveredAt: fromTime(r.DeliveredAt),
	}
}

func toTest(m *pb.TestRequest) TestRequest {
	return TestRequest{
		Sink:     m.GetDestination().GetSink(),
		Settings: toSecrets(m.GetDestination().GetSettings()),
		Account:  m.GetAccount(),
		Provider: m.GetProvider(),
	}
}

func fromTest(r TestRequest) *pb.TestRequest {
	return &pb.TestRequest{
		Destination: fromDestination(r.Sink, r.Settings), Account: r.Account, Provider: r.Provider,
	}
}

func toNotice(m *pb.NotifyRequest) NotifyRequest {
	return NotifyRequest{
		ID:       m.GetId(),
		Sink:     m.GetDestination().GetSink(),
		Settings: toSecrets(m.GetDestination().GetSettings()),
		Kind:     m.GetKind(),
		Type:     m.GetType(),
		State:    m.GetState(),
		Account:  m.GetAccount(),
		Provider: m.GetProvider(),
		OfSink:   m.GetOfSink(),
		Message:  m.GetMessage(),
		Since:    toTime(m.GetSince()),
		Time:     toTime(m.GetTime()),
		Content:  m.GetContent(),
	}
}

func fromNotice(r NotifyRequest) *pb.NotifyRequest {
	return &pb.NotifyRequest{
		Id:          r.ID,
		Destination: fromDestination(r.Sink, r.Settings),
		Kind:        r.Kind,
		Type:        r.Type,
		State:       r.State,
		Account:     r.Account,
		Provider:    r.Provider,
		OfSink:      r.OfSink,
		Message:     r.Message,
		Since:       fromTime(r.Since),
		Time:        fromTime(r.Time),
		Content:     r.Content,
	}
}

func toSinkDescription(m *pb.DescribeResponse) SinkDescription {
	d := SinkDescription{
		Name: m.GetName(), Version: m.GetVersion(),
		Restorer: m.GetRestorer(), Holder: m.GetHolder(), Tester: m.GetTester(), Notifier: m.GetNotifier(),
	}
	for _, s := range m.GetSettings() {
		d.Settings = append(d.Settings, Setting{
			Name: s.GetName(), Description: s.GetDescription(), Default: s.GetDefaultValue(),
			Required: s.GetRequired(), OneOf: s.GetOneOf(), Secret: s.GetSecret(), Steers: s.GetSteers(),
			SocketUsers: s.GetSocketUsers(),
		})
	}
	return d
}

func fromSinkDescription(d SinkDescription) *pb.DescribeResponse {
	m := &pb.DescribeResponse{
		Name: d.Name, Version: d.Version,
		Restorer: d.Restorer, Holder: d.Holder, Tester: d.Tester, Notifier: d.Notifier,
	}
	for _, s := range d.Settings {
		m.Settings = append(m.Settings, &pb.Setting{
			Name: s.Name, Description: s.Description, DefaultValue: s.Default,
			Required: s.Required, OneOf: s.OneOf, Secret: s.Secret, Steers: s.Steers,
			SocketUsers: s.SocketUsers,
		})
	}
	return m
}
