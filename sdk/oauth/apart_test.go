package oauth

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Where a token stands in its place, the rest of the answer is still looked
// through for the new refresh token: one is taken, of several none is, and what
// is no refresh token changes nothing.
func TestNewRefreshTokenApartFromTheAccessToken(t *testing.T) {
	const (
		idToken = `"id_token":"eyJhbGciOiJSUzI1NiJ9.eyJyZWZyZXNoX3Rva2VuIjoicjMifQ.c2ln"`
		form    = "application/x-www-form-urlencoded"
		unread  = "unread"
	)
	tests := map[string]struct {
		body, media     string
		refresh, access string // refresh unread: left to a person
		rescued         bool
		life            time.Duration // of the refresh token
	}{
		"by another name":           {body: `{"access_token":"a2","expires_in":1200,"refreshToken":"r2-the-new-one"}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"in an object beside":       {body: `{"access_token":"a2","tokens":{"refresh_token":"r2-the-new-one","refresh_token_expires_in":60}}`, refresh: "r2-the-new-one", access: "a2", rescued: true, life: time.Minute},
		"in a list beside":          {body: `{"access_token":"a2","tokens":[7,{"Refresh-Token":"r2-the-new-one"}]}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"in a text beside":          {body: `{"access_token":"a2","raw":"{\"refresh_token\":\"r2-the-new-one\"}"}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"in the next object":        {body: `{"access_token":"a2"}{"refresh_token":"r2-the-new-one"}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"in a form":                 {body: "access_token=a2&refreshToken=r2-the-new-one", media: form, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"cut behind it":             {body: `{"access_token":"a2","refreshToken":"r2-the-new-one","sco`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"twice the same":            {body: `{"access_token":"a2","refreshToken":"r2-the-new-one","x":{"refresh_token":"r2-the-new-one"}}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"behind an echo":            {body: `{"refresh_token":"r1-the-echo","data":{"access_token":"a2","refresh_token":"r2-the-new-one"}}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"behind an echoed request":  {body: `request {"refresh_token":"r1-the-echo"} response {"access_token":"a2","refresh_token":"r2-the-new-one"}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"behind an echo, renamed":   {body: `{"refresh_token":"r1-the-echo","data":{"access_token":"a2","refreshToken":"r2-the-new-one"}}`, refresh: "r2-the-new-one", access: "a2", rescued: true},
		"the same with an access":   {body: `{"refresh_token":"r2-the-new-one","data":{"access_token":"a2","refresh_token":"r2-the-new-one"}}`, refresh: "r2-the-new-one"},
		"two beside":                {body: `{"access_token":"a2","old":{"refresh_token":"r1-the-echo"},"new":{"refresh_token":"r2-the-new-one"}}`, refresh: unread},
		"two by other names":        {body: `{"access_token":"a2","refreshToken":"r1-the-echo","RefreshToken":"r2-the-new-one"}`, refresh: unread},
		"two, both alone":           {body: `{"refresh_token":"r1-the-echo","refreshToken":"r2-the-new-one"}`, refresh: unread},
		"two behind an echo":        {body: `{"refresh_token":"r1-the-echo","data":[{"access_token":"a2","refresh_token":"r2-the-new-one"},{"access_token":"a3","refresh_token":"r3-the-new-one"}]}`, refresh: unread},
		"two pairs in a text":       {body: `a {"access_token":"a1","refresh_token":"r1-the-echo"} b {"access_token":"a2","refresh_token":"r2-the-new-one"}`, refresh: unread},
		"two, and an error":         {body: `{"access_token":"a2","error":"slow_down","x":{"refresh_token":"r1-the-echo"},"refreshToken":"r2-the-new-one"}`, refresh: unread},
		"in its place, one beside":  {body: `{"access_token":"a2","refresh_token":"r2-the-new-one","user":{"refresh_token":"r9-of-another"}}`, refresh: "r2-the-new-one", access: "a2"},
		"none":                      {body: `{"access_token":"a2","expires_in":1200,"scope":"api",` + idToken + `}`, access: "a2"},
		"none, though empty":        {body: `{"access_token":"a2","refresh_token":"","refreshToken":null}`, access: "a2"},
		"none, but its lifetime":    {body: `{"access_token":"a2","refresh_token_expires_in":36000000,"refreshTokenExpiresIn":"2026-01-01T00:00:00Z"}`, access: "a2", life: 36000000 * time.Second},
		"none, but a word":          {body: `{"access_token":"a2","refreshToken":"not_granted","refresh-token":true}`, access: "a2"},
		"none, but an address":      {body: `{"access_token":"a2","links":{"refreshToken":"https://broker.example/v1/token","refresh_token":"/oauth2/token"}}`, access: "a2"},
		"none, but a text about it": {body: `{"access_token":"a2","hint":"refresh_token=r1-is-still-good"}`, access: "a2"},
		"none in a form":            {body: "access_token=a2&expires_in=5", media: form, access: "a2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := answer{meta: meta{Status: 200, ContentType: "application/json", Received: time.Now()}, body: []byte(tt.body)}
			if tt.media != "" {
				a.ContentType = tt.media
			}
			token, err := endpointAt("https://broker.example").read("main", a)
			shape, shapeErr := ShapeOf(a.encode())
			if shapeErr != nil {
				t.Fatal(shapeErr)
			}
			if tt.refresh == unread {
				var e *sdk.Error
				if !errors.As(err, &e) || e.Kind != sdk.KindAmbiguous || !e.Unread {
					t.Errorf("took %q (%v), want it left to a person", token.RefreshToken.Reveal(), err)
				}
				if shape.Fault != several {
					t.Errorf("the shape's fault: %q", shape.Fault)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if token.RefreshToken.Reveal() != tt.refresh || token.AccessToken.Reveal() != tt.access {
				t.Errorf("took %q and %q, want %q and %q", token.AccessToken.Reveal(), token.RefreshToken.Reveal(), tt.access, tt.refresh)
			}
			if (token.Rescued != "") != tt.rescued || shape.Fault != "" {
				t.Errorf("rescued %q, the shape's fault %q", token.Rescued, shape.Fault)
			}
			if token.RefreshLifetime != min(tt.life, maxLifetime) {
				t.Errorf("the refresh token lives %s, want %s", token.RefreshLifetime, tt.life)
			}
		})
	}
}

// An echoed token beside an error that decides something is none.
func TestEchoesBesideARefusal(t *testing.T) {
	body := `{"error":"invalid_grant","refresh_token":"r1-the-echo","request":{"refreshToken":"r0-the-echo"}}`
	_, err := endpointAt("https://broker.example").read("main", answer{meta: meta{Status: 200}, body: []byte(body)})
	wantKind(t, err, sdk.KindInvalidGrant)
}
