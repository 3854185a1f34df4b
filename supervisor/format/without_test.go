package format

import (
	"errors"
	"testing"
)

// Of a file that others write too the refresh token is taken out, and nothing else: what
// they put there, and how they write it, stays.
func TestWithoutRefresh(t *testing.T) {
	for name, tt := range map[string]struct{ format, existing, want string }{
		"saxo": {SaxoCache,
			"{\n  \"note\": \"\\u00e9\",\n  \"refresh_token\": \"R1\",\n  \"access_token\": \"A1\",\n  \"app_secret\": \"s\",\n  \"token_expiry\": \"2026-07-01T13:00:00.123456\",\n  \"big\": 12345678901234567890.50\n}\n",
			"{\n  \"note\": \"\\u00e9\",\n  \"access_token\": \"A1\",\n  \"app_secret\": \"s\",\n  \"token_expiry\": \"2026-07-01T13:00:00.123456\",\n  \"big\": 12345678901234567890.50\n}\n"},
		"saxo: nothing else of a token": {SaxoCache, `{"refresh_token":"R1","app_key":"k"}`, `{"app_key":"k"}`},
		"schwab: below the token": {Schwab,
			`{"creation_timestamp": 1782720930, "refresh_token": "theirs", "token": {"expires_at": "1782900000", "x": {"refresh_token": "theirs"}, "refresh_token": "R1", "access_token": "A1", "id_token": "I1"}, "v": null}`,
			`{"creation_timestamp": 1782720930, "refresh_token": "theirs", "token": {"expires_at": "1782900000", "x": {"refresh_token": "theirs"}, "access_token": "A1", "id_token": "I1"}, "v": null}`},
		"schwab-py: a bare token": {SchwabPy,
			`{"access_token": "A1", "refresh_token": "R1", "expires_at": 1782900000}`,
			`{"token": {"access_token": "A1", "expires_at": 1782900000}}`},
		"json: with its end": {JSON,
			`{"access_token":"A1","refresh_token":"R1","expires_at":1782900000123,"version":7,"refresh_expires_at":1,"extra":{"refresh_token":"theirs"}}`,
			`{"access_token":"A1","expires_at":1782900000123,"version":7,"extra":{"refresh_token":"theirs"}}`},
		"none is there": {JSON, `{"access_token": "A1"}`, `{"access_token": "A1"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := WithoutRefresh(tt.format, []byte(tt.existing), Options{})
			if err != nil || string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s\n%v", got, tt.want, err)
			}
		})
	}
	if _, err := WithoutRefresh(JSON, []byte(`{"refresh_token": "R1"`), Options{}); !errors.Is(err, ErrUnreadable) {
		t.Errorf("of a file that is cut off: %v", err)
	}
	if _, err := WithoutRefresh(Answer, []byte(`{}`), Options{}); err == nil {
		t.Error("a format that is only read is written")
	}
}
