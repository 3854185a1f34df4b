package sdk

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// This file is the thin facade between the wire's messages and the types that
// people use; each pair is each other's inverse.

func toToken(m *pb.Token) Token {
	return Token{
		AccessToken:     NewSecret(m.GetAccessToken()),
		RefreshToken:    NewSecret(m.GetRefreshToken()),
		TokenType:       m.GetTokenType(),
		Scope:           m.GetScope(),
		IDToken:         NewSecret(m.GetIdToken()),
		IssuedAt:        toTime(m.GetIssuedAt()),
		Lifetime:        m.GetLifetime().AsDuration(),
		RefreshLifetime: m.GetRefreshLifetime().AsDuration(),
		Skew:            m.GetSkew().AsDuration(),
		Uncertain:       m.GetUncertain(),
		Extra:           m.GetExtra(),
		Private:         toSecrets(m.GetPrivate()),
		Rescued:         m.GetRescued(),
	}
}

func fromToken(t Token) *pb.Token {
	return &pb.Token{
		AccessToken:     t.AccessToken.Reveal(),
		RefreshToken:    t.RefreshToken.Reveal(),
		TokenType:       t.TokenType,
		Scope:           t.Scope,
		IdToken:         t.IDToken.Reveal(),
		IssuedAt:        fromTime(t.IssuedAt),
		Lifetime:        durationpb.New(t.Lifetime),
		RefreshLifetime: durationpb.New(t.RefreshLifetime),
		Skew:            durationpb.New(t.Skew),
		Uncertain:       t.Uncertain,
		Extra:           t.Extra,
		Private:         fromSecrets(t.Private),
		Rescued:         t.Rescued,
	}
}

func toAccount(m *pb.Account) Account {
	return Account{
		Name:         m.GetName(),
		ClientID:     m.GetClientId(),
		ClientSecret: NewSecret(m.GetClientSecret()),
		RedirectURL:  m.GetRedirectUrl(),
		Scopes:       m.GetScopes(),
		Settings:     m.GetSettings(),
	}
}

func fromAccount(a Account) *pb.Account {
	return &pb.Account{
		Name:         a.Name,
		ClientId:     a.ClientID,
		ClientSecret: a.ClientSecret.Reveal(),
		RedirectUrl:  a.RedirectURL,
		Scopes:       a.Scopes,
		Settings:     a.Settings,
	}
}

func toAttempt(m *pb.Attempt) Attempt {
	return Attempt{
		ID:          m.GetId(),
		Version:     m.GetVersion(),
		Fingerprint: m.GetFingerprint(),
		Deadline:    toTime(m.GetDeadline()),
		Spool:       m.GetSpool(),
	}
}

func fromAttempt(a Attempt) *pb.Attempt {
	return &pb.Attempt{
		Id:          a.ID,
		Version:     a.Version,
		Fingerprint: a.Fingerprint,
		Deadline:    fromTime(a.Deadline),
		Spool:       a.Spool,
	}
}

func toDescription(m *pb.DescribeResponse) Description {
	p := m.GetPolicy()
	d := Description{
		Name:    m.GetName(),
		Version: m.GetVersion(),
		Policy: Policy{
			AccessLifetime:  p.GetAccessLifetime().AsDuration(),
			RefreshLifetime: p.GetRefreshLifetime().AsDuration(),
			Sliding:         p.GetSliding(),
			Rotates:         p.GetRotates(),
			ReuseGrace:      p.GetReuseGrace().AsDuration(),
			PKCE:            PKCE(p.GetPkce()),
			BeforeExpiry:    p.GetBeforeExpiry().AsDuration(),
		},
		Authorizer: m.GetAuthorizer(),
		Checker:    m.GetChecker(),
		Revoker:    m.GetRevoker(),
		Revokes:    RevokeScope(m.GetRevokes()),

		ExchangeBeside: m.GetExchangeBeside(),
	}
	kindsTo(&d, m)
	for _, s := range m.GetSettings() {
		d.Settings = append(d.Settings, Setting{
			Name: s.GetName(), Description: s.GetDescription(), Default: s.GetDefaultValue(),
			Required: s.GetRequired(), OneOf: s.GetOneOf(), Secret: s.GetSecret(), Steers: s.GetSteers(),
			SocketUsers: s.GetSocketUsers(), Server: s.GetServer(),
		})
	}
	return d
}

func fromDescription(d Description) *pb.DescribeResponse {
	m := &pb.DescribeResponse{
		Name:    d.Name,
		Version: d.Version,
		Policy: &pb.Policy{
			AccessLifetime:  durationpb.New(d.Policy.AccessLifetime),
			RefreshLifetime: durationpb.New(d.Policy.RefreshLifetime),
			Sliding:         d.Policy.Sliding,
			Rotates:         d.Policy.Rotates,
			ReuseGrace:      durationpb.New(d.Policy.ReuseGrace),
			Pkce:            string(d.Policy.PKCE),
			BeforeExpiry:    durationpb.New(d.Policy.BeforeExpiry),
		},
		Authorizer: d.Authorizer,
		Checker:    d.Checker,
		Revoker:    d.Revoker,
		Revokes:    string(d.Revokes),

		ExchangeBeside: d.ExchangeBeside,
	}
	kindsFrom(d, m)
	for _, s := range d.Settings {
		m.Settings = append(m.Settings, &pb.Setting{
			Name: s.Name, Description: s.Description, DefaultValue: s.Default,
			Required: s.Required, OneOf: s.OneOf, Secret: s.Secret, Steers: s.Steers,
			SocketUsers: s.SocketUsers, Server: s.Server,
		})
	}
	return m
}

func toEntry(m *pb.SpoolEntry) spool.Entry {
	return spool.Entry{
		Header: spool.Header{
			Attempt: m.GetAttempt(), Account: m.GetAccount(), Kind: m.GetKind(),
			Version: m.GetVersion(), Fingerprint: m.GetFingerprint(),
		},
		Progress: spool.Progress(m.GetProgress()),
		BegunAt:  toTime(m.GetBegunAt()),
	}
}

func fromEntry(e spool.Entry) *pb.SpoolEntry {
	return &pb.SpoolEntry{
		Attempt: e.Attempt, Account: e.Account, Kind: e.Kind,
		Version: e.Version, Fingerprint: e.Fingerprint,
		Progress: string(e.Progress),
		BegunAt:  fromTime(e.BegunAt),
	}
}

// toTime maps "not set" to the zero time, which timestamppb alone would read
// as 1970.
func toTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

func fromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func toSecrets(m map[string]string) map[string]Secret {
	if m == nil {
		return nil
	}
	out := make(map[string]Secret, len(m))
	for k, v := range m {
		out[k] = NewSecret(v)
	}
	return out
}

func fromSecrets(m map[string]Secret) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
}
