package format

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Files of other programs, as they are. What they do not tell is not known.
func TestKnownShapes(t *testing.T) {
	zone := zone(t, "Europe/Copenhagen") // UTC+2 in July
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name, file, format string
		want               Document // its times alone
	}{
		{
			"a token endpoint's answer", `{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":1200}`,
			Answer, Document{Lifetime: 20 * time.Minute},
		},
		{
			"the same with a lifetime in text", `{"access_token":"a","refresh_token":"r","expires_in":"1200.5"}`,
			Answer, Document{Lifetime: 1200*time.Second + 500*time.Millisecond},
		},
		{
			"the same, dead before it came", `{"access_token":"a","refresh_token":"r","expires_in":-5}`,
			Answer, Document{Lifetime: -5 * time.Second},
		},
		{
			"an answer that says nothing", `{"access_token":"a","refresh_token":"r","expires_in":null}`,
			Answer, Document{},
		},
		{
			"Go's oauth2.Token", `{"access_token":"a","token_type":"Bearer","refresh_token":"r","expiry":"2026-07-01T14:00:00.123456789+02:00","expires_in":1200}`,
			GoOAuth2, Document{Expiry: noon.Add(123456789), Lifetime: 20 * time.Minute},
		},
		{
			"Go's oauth2.Token without an expiry", `{"access_token":"a","refresh_token":"r","expiry":"0001-01-01T00:00:00Z"}`,
			GoOAuth2, Document{},
		},
		{
			"Schwabdev 2", `{"access_token_issued":"2026-07-01T11:30:00.000001+00:00","refresh_token_issued":"2026-06-29T08:00:00+00:00",
			 "token_dictionary":{"expires_in":1800,"token_type":"Bearer","scope":"api","refresh_token":"r","access_token":"a","id_token":"i"}}`,
			Schwabdev, Document{
				IssuedAt: noon.Add(-30*time.Minute + time.Microsecond), Expiry: noon.Add(time.Microsecond),
				LoginAt: time.Date(2026, 6, 29, 8, 0, 0, 0, time.UTC),
			},
		},
		{
			"Schwabdev 1, whose times are local", `{"access_token_issued":"2026-07-01T13:30:00","refresh_token_issued":"2026-06-29T10:00:00",
			 "token_dictionary":{"expires_in":1800,"refresh_token":"r","access_token":"a"}}`,
			Schwabdev, Document{
				IssuedAt: noon.Add(-30 * time.Minute), Expiry: noon, Naive: true, LoginAt: time.Date(2026, 6, 29, 8, 0, 0, 0, time.UTC),
			},
		},
		{
			"Schwabdev 3, as sqlite3 prints it", `[{"access_token_issued":"2026-07-01T11:30:00+00:00","refresh_token_issued":"2026-06-29T08:00:00+00:00",
			 "access_token":"a","refresh_token":"r","id_token":"i","expires_in":1800,"token_type":"Bearer","scope":"api"}]`,
			Schwabdev, Document{IssuedAt: noon.Add(-30 * time.Minute), Expiry: noon, LoginAt: time.Date(2026, 6, 29, 8, 0, 0, 0, time.UTC)},
		},
		{
			"schwab without expires_at", `{"creation_timestamp":1782900000,"token":{"access_token":"a","refresh_token":"r"}}`,
			Schwab, Document{LoginAt: time.Unix(1782900000, 0), LoginUncertain: true},
		},
		{
			"schwab without any time", `{"token":{"access_token":"a","refresh_token":"r","expires_in":1800}}`,
			Schwab, Document{Lifetime: 30 * time.Minute},
		},
		{
			"saxo-cache without token_expiry", `{"access_token":"a","refresh_token":"r","app_key":"k"}`,
			SaxoCache, Document{},
		},
		{
			"saxo-cache in local time", `{"access_token":"a","refresh_token":"r","token_expiry":"2026-07-01T13:59:00"}`,
			SaxoCache, Document{Expiry: noon, Naive: true},
		},
		{
			"our own without expires_at", `{"access_token":"a","refresh_token":"r","version":4}`,
			JSON, Document{},
		},
		{
			"our own with a year that no token has", `{"access_token":"a","refresh_token":"r","expires_at":"9998-12-31T23:59:59Z"}`,
			JSON, Document{},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			name, err := Detect([]byte(tt.file))
			if name != tt.format || err != nil {
				t.Fatalf("taken for %q, %v", name, err)
			}
			d, err := Decode(name, []byte(tt.file), Options{Location: zone})
			if err != nil {
				t.Fatal(err)
			}
			if d.AccessToken.Reveal() != "a" || d.RefreshToken.Reveal() != "r" {
				t.Errorf("read the tokens %q and %q", d.AccessToken.Reveal(), d.RefreshToken.Reveal())
			}
			if !d.Expiry.Equal(tt.want.Expiry) || !d.IssuedAt.Equal(tt.want.IssuedAt) || !d.LoginAt.Equal(tt.want.LoginAt) {
				t.Errorf("issued %v, expiry %v, login %v; want %v, %v, %v",
					d.IssuedAt, d.Expiry, d.LoginAt, tt.want.IssuedAt, tt.want.Expiry, tt.want.LoginAt)
			}
			if d.Lifetime != tt.want.Lifetime || d.Naive != tt.want.Naive || d.LoginUncertain != tt.want.LoginUncertain {
				t.Errorf("lifetime %v, naive %t, login uncertain %t", d.Lifetime, d.Naive, d.LoginUncertain)
			}
		})
	}
}

// TestKeptAnswer: an answer may be kept with the end of its access token beside it,
// and whoever calls that an answer does not lose the end.
func TestKeptAnswer(t *testing.T) {
	want := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, end := range []string{`"expiry":"2026-07-01T14:00:00+02:00"`, `"expires_at":1782907200`, `"expiry":"0001-01-01T00:00:00Z","expires_at":1782907200`} {
		d, err := Decode(Answer, []byte(`{"access_token":"a","refresh_token":"r","expires_in":1200,`+end+`}`), Options{})
		if err != nil || !d.Expiry.Equal(want) || d.Lifetime != 20*time.Minute {
			t.Errorf("%s: ends %v, lives %v, %v", end, d.Expiry, d.Lifetime, err)
		}
	}
}

func TestSchwabdevsDatabaseIsToldApart(t *testing.T) {
	database := append([]byte("SQLite format 3\x00"), make([]byte, 4096)...)
	for _, err := range []error{func() error { _, err := Detect(database); return err }(), func() error { _, err := Decode(Schwabdev, database, Options{}); return err }()} {
		if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "sqlite3 -json tokens.db 'SELECT * FROM schwabdev'") {
			t.Errorf("the error does not say what to do: %v", err)
		}
	}
	_, err := Decode(Schwabdev, []byte(`[{"access_token_issued":"2026-07-01T11:30:00+00:00","access_token":"enc:gAAAA","refresh_token":"enc:gAAAB"}]`), Options{})
	if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "encrypted") {
		t.Errorf("encrypted tokens: %v", err)
	}
}

func TestFormatsOfOthersAreNotWritten(t *testing.T) {
	for _, name := range []string{Answer, GoOAuth2, Schwabdev} {
		_, err := Encode(name, full(), Options{})
		_, merr := Merge(name, []byte(`{"access_token":"a","expires_in":1}`), full(), Options{})
		for _, err := range []error{err, merr} {
			if err == nil || !strings.Contains(err.Error(), "only read") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
