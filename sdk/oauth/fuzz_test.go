package oauth

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// No answer discards a refresh token without a parsed OAuth error, none makes
// the reader panic, none shows in an error's text, and each reads the same
// when it comes out of the spool.
func FuzzAnswer(f *testing.F) {
	f.Add(200, "application/json", "", []byte(goodAnswer))
	f.Add(200, "application/json", "", gzipped(goodAnswer))
	f.Add(200, "application/json", "", gzipped(goodAnswer)[:60])
	f.Add(200, "application/json", "", zlibbed(goodAnswer))
	f.Add(200, "application/json", "", utf16be(goodAnswer))
	f.Add(200, "text/plain", "", []byte(`)]}',[{"data":"{\"refresh_token\":\"r\"}"}]`))
	f.Add(200, "application/json", "", []byte(`{"refresh_token":"r","expires_in":18`))
	f.Add(201, "application/json", "", []byte(`{"access_token":"a","expires_in":"-1.5e400","refresh_token":7}`))
	f.Add(200, "application/json", "", []byte(`{"refresh_token":"r1","data":[{"access_token":"a","refreshToken":"r2-the-new-one"}]}`))
	f.Add(400, "application/json", "5", []byte(`{"error":"invalid_grant"}`))
	f.Add(401, "", "", []byte(`{"error":"invalid_client"`))
	f.Add(400, "text/html; charset", "", []byte(`<html>{"error":"invalid_grant"}`))
	f.Add(200, "application/x-www-form-urlencoded", "", []byte("access_token=%ff&error=invalid_grant"))
	f.Add(503, "", "Mon, 01 Jan 2024 00:02:00 GMT", []byte("\xef\xbb\xbfnull"))
	f.Fuzz(func(t *testing.T, status int, contentType, retry string, body []byte) {
		e := endpointAt("https://broker.example")
		e.Extra = []string{"base_uri"}
		a := answer{meta: meta{
			Status: status, ContentType: contentType, RetryAfter: retry,
			Received: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC),
		}, body: body}
		token, err := e.read("main", a)
		if err == nil {
			if token.AccessToken.IsZero() && token.RefreshToken.IsZero() || status < 200 || status > 299 {
				t.Fatalf("a token out of HTTP %d", status)
			}
			if token.Lifetime == 0 || token.Lifetime.Abs() > maxLifetime || token.RefreshLifetime < 0 || token.RefreshLifetime > maxLifetime {
				t.Fatalf("lifetimes %s, %s", token.Lifetime, token.RefreshLifetime)
			}
			for _, s := range []string{token.AccessToken.Reveal(), token.RefreshToken.Reveal(), token.Scope, token.Extra["base_uri"]} {
				if !utf8.ValidString(s) {
					t.Fatalf("%q can't go over the wire", s)
				}
			}
		} else {
			checkRefusal(t, err, a)
		}
		if status == 0 || !utf8.ValidString(contentType) || !utf8.ValidString(retry) {
			return // net/http hands out no such answer
		}
		spooled, decodeErr := decodeAnswer(a.encode())
		if decodeErr != nil {
			t.Fatal(decodeErr)
		}
		again, againErr := e.read("main", spooled)
		if !reflect.DeepEqual(again, token) || !reflect.DeepEqual(againErr, err) {
			t.Fatalf("recovered %+v %v, want %+v %v", again, againErr, token, err)
		}
	})
}

func checkRefusal(t *testing.T, err error, a answer) {
	var e *sdk.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T", err)
	}
	if e.Kind == sdk.KindInvalidGrant {
		var parsed struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(a.content().text, &parsed) != nil || parsed.Error != "invalid_grant" {
			t.Fatalf("invalid_grant out of %q", a.body)
		}
	}
	if e.Kind == sdk.KindTransient && a.Status >= 200 && a.Status <= 299 && e.OAuthError == "" {
		t.Fatal("a success that nobody understood is taken for harmless")
	}
	if e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
		t.Fatalf("retry after %s", e.RetryAfter)
	}
	if len(a.body) > 48 && strings.Contains(e.Error(), string(a.body)) {
		t.Fatal("the error quotes the answer")
	}
}

// Nothing in a spool slot makes its reader panic, and only a whole answer is
// one.
func FuzzSpooledAnswer(f *testing.F) {
	f.Add(answer{meta: meta{Status: 200, Received: time.Unix(1, 0).UTC()}, body: []byte(goodAnswer)}.encode())
	f.Add([]byte("H\xff\xff\xff\xff{}"))
	f.Add([]byte("T"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAnswer(b)
		if err == nil && a.Status == 0 {
			t.Fatal("an answer without a status")
		}
		_, _ = endpointAt("https://broker.example").read("main", a)
	})
}

// However a server words its answers, none brings a refresh token that is not in
// it, throws a new one away, or comes out of the spool as another one.
func FuzzWordedAnswer(f *testing.F) {
	f.Add(200, "errorCode", "data", []byte(`{"data":{"accessToken":"A","refreshToken":"r2-the-new-one","at":"2026-03-02T06:20:00Z"},"errorCode":null}`))
	f.Add(200, "error.code", "", []byte(`{"error":{"code":13009},"refreshToken":"r2-the-new-one"}`))
	f.Add(200, "s", "list.0", []byte(`{"s":"ok","list":[{"token":"`+jwtOf(1e12)+`","at":1766000000000}]}`))
	f.Add(403, "", "a.b.c", []byte(`{"error":"invalid_grant"}`))
	f.Add(200, "x", "", []byte("accessToken=A&refreshToken=r2-the-new-one&x=1"))
	f.Fuzz(func(t *testing.T, status int, code, root string, body []byte) {
		e := endpointAt("https://broker.example")
		e.Answers = Answers{Root: root, Names: camel, Unit: time.Millisecond, ExpiresAt: "at", JWT: true}
		e.Errors = Errors{Code: code, Success: []string{"ok"}, Kinds: map[string]sdk.Kind{"13009": sdk.KindInvalidGrant}, Statuses: map[int]sdk.Kind{400: sdk.KindInvalidGrant}}
		a := answer{meta: meta{
			Status: status, ContentType: "application/json", Received: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Sent: sdk.NewSecret(canaryRefresh).Fingerprint(),
		}, body: body}
		token, err := e.read("main", a)
		if err == nil {
			if token.AccessToken.IsZero() && token.RefreshToken.IsZero() || token.Lifetime == 0 || token.Lifetime.Abs() > maxLifetime ||
				token.RefreshLifetime < 0 || token.RefreshLifetime > maxLifetime {
				t.Fatalf("a token with the lifetimes %s, %s", token.Lifetime, token.RefreshLifetime)
			}
		} else {
			var e *sdk.Error
			if !errors.As(err, &e) || len(body) > 48 && strings.Contains(err.Error(), string(body)) {
				t.Fatalf("%T: %v", err, err)
			}
			var plain struct {
				Refresh string `json:"refresh_token"`
			}
			if status >= 200 && status <= 299 && json.Unmarshal(body, &plain) == nil && a.brings(plain.Refresh) && !e.Unread {
				t.Fatalf("a new refresh token is thrown away: %v", err)
			}
		}
		if status == 0 {
			return
		}
		spooled, decodeErr := decodeAnswer(a.encode())
		if decodeErr != nil {
			t.Fatal(decodeErr)
		}
		if again, againErr := e.read("main", spooled); !reflect.DeepEqual(again, token) || !reflect.DeepEqual(againErr, err) {
			t.Fatalf("recovered %v, want %v", againErr, err)
		}
	})
}
