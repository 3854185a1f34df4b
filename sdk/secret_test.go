package sdk_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

const canary = "canary-3d1f"

// holder has a secret in every place that a printer may reach.
type holder struct {
	Public  sdk.Secret
	Pointer *sdk.Secret
	Map     map[string]sdk.Secret
	Slice   []sdk.Secret
	Any     any
	private sdk.Secret
	nested  struct{ deep map[string]sdk.Secret }
}

func newHolder() holder {
	s := sdk.NewSecret(canary)
	h := holder{Public: s, Pointer: &s, Map: map[string]sdk.Secret{"k": s}, Slice: []sdk.Secret{s}, Any: s, private: s}
	h.nested.deep = map[string]sdk.Secret{"k": s}
	return h
}

func wantRedacted(t *testing.T, how, text string) {
	t.Helper()
	if strings.Contains(text, canary) {
		t.Errorf("%s tells the secret: %s", how, text)
	}
}

func TestSecretUnderEveryVerb(t *testing.T) {
	s := sdk.NewSecret(canary)
	for _, verb := range "vTtbcdoOqxXUeEfFgGspw!" {
		for _, flags := range []string{"", "+", "#", " ", "-", "0", "60", ".3"} {
			format := "%" + flags + string(verb)
			for how, v := range map[string]any{
				"a secret": s, "a pointer": &s, "a struct": newHolder(), "a struct's pointer": &holder{private: s},
				"a token":    sdk.Token{AccessToken: s, Private: map[string]sdk.Secret{"k": s}},
				"an account": sdk.Account{ClientSecret: s},
			} {
				got := fmt.Sprintf(format, v)
				wantRedacted(t, how+" under "+format, got)
				// Hexadecimal is the secret as well.
				wantRedacted(t, how+" under "+format, strings.ReplaceAll(strings.ToLower(got), fmt.Sprintf("%x", canary), canary))
			}
		}
	}
	if got := fmt.Sprintf("%s %v %q", s, s, s); got != "[redacted] [redacted] [redacted]" {
		t.Errorf("printed as %s", got)
	}
	wantRedacted(t, "an error", fmt.Errorf("failed with %v: %w", s, errors.New(s.String())).Error())
}

func TestSecretMarshalled(t *testing.T) {
	h := newHolder()
	b, err := json.Marshal(h)
	if err != nil || !bytes.Contains(b, []byte("[redacted]")) {
		t.Errorf("JSON %s, %v", b, err)
	}
	wantRedacted(t, "JSON", string(b))
	if b, err = json.Marshal(map[sdk.Secret]int{h.Public: 1}); err != nil {
		t.Error(err)
	}
	wantRedacted(t, "a JSON key", string(b))
	if b, err = yaml.Marshal(h); err != nil || !bytes.Contains(b, []byte("[redacted]")) {
		t.Errorf("YAML %s, %v", b, err)
	}
	wantRedacted(t, "YAML", string(b))
	if b, err = xml.Marshal(h.Public); err != nil {
		t.Error(err)
	}
	wantRedacted(t, "XML", string(b))
}

func TestSecretLogged(t *testing.T) {
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		log := slog.New(handler(&b))
		h := newHolder()
		log.Info("hello", "secret", h.Public, "pointer", h.Pointer, "struct", h, "map", h.Map, "error", fmt.Errorf("%v", h))
		log.With("secret", h.Public).WithGroup("g").Info("again", "slice", h.Slice, "req", sdk.RefreshRequest{Token: sdk.Token{RefreshToken: h.Public}})
		if !strings.Contains(b.String(), "redacted") {
			t.Errorf("%s: %s", name, b.String())
		}
		wantRedacted(t, name, b.String())
	}
}

func TestSecretValue(t *testing.T) {
	s, zero := sdk.NewSecret(canary), sdk.NewSecret("")
	if s.Reveal() != canary || s.IsZero() || !s.Equal(sdk.NewSecret(canary)) || s.Equal(zero) {
		t.Error("a secret is not what it was made of")
	}
	if !zero.IsZero() || zero != (sdk.Secret{}) || zero.Reveal() != "" || zero.Fingerprint() != "" || !zero.Equal(sdk.Secret{}) {
		t.Error("the empty secret is not the zero one")
	}
	if f := s.Fingerprint(); len(f) != 16 || f == sdk.NewSecret("other").Fingerprint() || strings.Contains(canary, f) {
		t.Errorf("fingerprint %q", f)
	}
	var read struct{ S sdk.Secret }
	if err := json.Unmarshal([]byte(`{"S":"`+canary+`"}`), &read); err != nil || read.S.Reveal() != canary {
		t.Errorf("read from JSON: %v", err)
	}
}
