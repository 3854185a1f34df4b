package brokersim

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Fingerprint is how this package names a refresh token without showing it:
// the first 16 hexadecimal digits of its SHA-256.
func Fingerprint(refreshToken string) string {
	sum := sha256.Sum256([]byte(refreshToken))
	return hex.EncodeToString(sum[:8])
}

// randomText returns n random bytes in base64url.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (documented)
	return base64.RawURLEncoding.EncodeToString(b)
}

func randomUUID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// unsignedJWT returns something of a JWT's shape and of about the length that
// payload bytes give: consumers with fixed buffers meet real sizes. Nothing in
// it is signed or meant to be read.
func unsignedJWT(payload int) string { return jwt(map[string]any{"jti": randomText(payload)}) }

// idToken names the account as the person who has logged in (OpenID Connect Core
// 1.0, section 2). Its signature is none.
func (s *books) idToken(account string, now, expires time.Time) string {
	return jwt(map[string]any{
		"iss": "https://" + string(s.cfg.Dialect) + ".brokersim.invalid", "sub": account, "aud": s.cfg.ClientID,
		"iat": now.Unix(), "exp": expires.Unix(), "preferred_username": account, "jti": randomText(16),
	})
}

func jwt(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic("brokersim: claims that are no JSON: " + err.Error())
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + enc.EncodeToString(payload) + "." + randomText(64)
}
