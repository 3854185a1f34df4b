package brokersim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"testing"
	"time"
)

// assertionOf makes a JWT that a test can spoil.
func assertionOf(key crypto.Signer, algorithm string, change func(map[string]any), now time.Time) string {
	claims := map[string]any{
		"iss": "app-key", "sub": "app-key", "aud": "/token", "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	change(claims)
	head, _ := json.Marshal(map[string]string{"alg": algorithm})
	payload, _ := json.Marshal(claims)
	enc := base64.RawURLEncoding
	text := enc.EncodeToString(head) + "." + enc.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return text + "." + enc.EncodeToString(signature)
}

func TestAssertionsAreChecked(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	other, _ := rsa.GenerateKey(rand.Reader, 2048)
	c, clock := newKindsClient(t, Config{Dialect: IBKR, ClientKey: &key.PublicKey})
	c.sim.LoginAs("main")
	mint := func(assertion string) testAnswer {
		return c.try(url.Values{
			"grant_type": {"client_credentials"}, "scope": {"sso-sessions.write"}, "client_assertion_type": {assertionType}, "client_assertion": {assertion},
		}, false)
	}
	now := clock.now
	for name, tt := range map[string]struct {
		key       crypto.Signer
		algorithm string
		change    func(map[string]any)
		want      int
	}{
		"good":          {key, "RS256", func(map[string]any) {}, 200},
		"another key":   {other, "RS256", func(map[string]any) {}, 401},
		"alg none":      {key, "none", func(map[string]any) {}, 401},
		"another aud":   {key, "RS256", func(m map[string]any) { m["aud"] = "https://api.ibkr.com/oauth2/api/v1/token" }, 401},
		"another iss":   {key, "RS256", func(m map[string]any) { m["iss"] = "x" }, 401},
		"no jti":        {key, "RS256", func(m map[string]any) { delete(m, "jti") }, 401},
		"expired":       {key, "RS256", func(m map[string]any) { m["exp"] = now.Unix() }, 401},
		"for an hour":   {key, "RS256", func(m map[string]any) { m["exp"] = now.Add(time.Hour).Unix() }, 401},
		"of the future": {key, "RS256", func(m map[string]any) { m["iat"] = now.Add(30 * time.Second).Unix() }, 401},
	} {
		c.expect(name, mint(assertionOf(tt.key, tt.algorithm, tt.change, now)).status, tt.want)
	}
	twice := assertionOf(key, "RS256", func(map[string]any) {}, now)
	c.expect("once", mint(twice).status, 200)
	a := mint(twice)
	c.expect("not twice", a.status, 401)
	c.expect("problem+json", a.header.Get("Content-Type"), "application/problem+json")
}

// A session dies of idleness and of another login, and the beat's answer, a 200
// always, says which.
func TestSessionsNeedABeat(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	c, clock := newKindsClient(t, Config{Dialect: IBKR, ClientKey: &key.PublicKey})
	beat := func(token string) (authenticated, competing bool) {
		a := c.send("POST", c.sim.KeepaliveURL(), "Authorization", "Bearer "+token)
		c.expect("a beat's status", a.status, 200)
		status := a.body["iserver"].(map[string]any)["authStatus"].(map[string]any)
		return status["authenticated"].(bool), status["competing"].(bool)
	}
	first := c.sim.Grant("main").AccessToken
	for range 10 {
		clock.now = clock.now.Add(5 * time.Minute)
		if alive, _ := beat(first); !alive {
			t.Fatal("the session died between beats")
		}
	}
	c.expect("beats", c.sim.Account("main").Beats, 10)
	clock.now = clock.now.Add(5 * time.Minute)
	c.expect("a call is a beat", c.resource(first), 200)
	second := c.sim.Grant("main").AccessToken
	alive, competing := beat(first)
	c.expect("ousted", !alive && competing, true)
	clock.now = clock.now.Add(6 * time.Minute)
	alive, competing = beat(second)
	c.expect("dead of idleness", alive || competing, false)
	c.expect("for good", c.resource(second), 401)
}

func TestSaxoCertificateFlow(t *testing.T) {
	key, _ := rsa.GenerateKey(rand.Reader, 2048)
	c, clock := newKindsClient(t, Config{Dialect: Saxo, ClientKey: &key.PublicKey})
	ask := func(change func(map[string]any)) testAnswer {
		return c.try(url.Values{"grant_type": {grantPersonal}, "assertion": {assertionOf(key, "RS256", func(m map[string]any) {
			m["sub"], m["aud"], m["exp"] = "person", c.sim.TokenURL(), clock.now.Add(3*time.Second).Unix()
			change(m)
		}, clock.now)}}, true)
	}
	a := ask(func(map[string]any) {})
	c.expect("granted", a.status, 201)
	c.mustRefresh(a.body["refresh_token"].(string))
	c.expect("whose", c.sim.Account("person").Logins, 1)
	c.expect("a minute is too long", ask(func(m map[string]any) { m["exp"] = clock.now.Add(time.Minute).Unix() }).status, 401)
	c.expect("another iss", ask(func(m map[string]any) { m["iss"] = "x" }).status, 401)

	plain, _ := newKindsClient(t, Config{Dialect: Saxo})
	plain.expect("an app without a key", plain.try(url.Values{"grant_type": {grantPersonal}, "assertion": {"x"}}, true).body["error"], "unsupported_grant_type")
}
