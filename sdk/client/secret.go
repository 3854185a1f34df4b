package client

import "log/slog"

const redacted = "[redacted]"

// Secret holds an access token. It prints, logs and marshals as "[redacted]";
// [Secret.Reveal] is the one way out: a verb that does not ask for text shows an
// address. It is not sdk.Secret, because package sdk brings gRPC along, which
// no consumer needs.
type Secret struct{ value *string }

// Reveal returns the token in clear text: for the Authorization header, and
// for nothing that is logged.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

func (s Secret) String() string   { return redacted }
func (s Secret) GoString() string { return redacted }

// LogValue redacts in slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts in JSON, YAML and everything else that asks for text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText reads a secret in clear text.
func (s *Secret) UnmarshalText(text []byte) error {
	value := string(text)
	*s = Secret{&value}
	return nil
}
