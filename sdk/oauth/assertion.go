package oauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// assertionType: RFC 7523, section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// DefaultAssertionLifetime is as long as Interactive Brokers' clients ask for.
const DefaultAssertionLifetime = time.Minute

// Assertion authenticates a client by a JWT that it signs anew for each request:
// private_key_jwt (RFC 7523, section 2.2; OpenID Connect Core 1.0, section 9).
// The JWT takes its times from this machine's clock.
type Assertion struct {
	// Key signs: RSA (RS256), ECDSA on P-256 (ES256) or Ed25519 (EdDSA). See
	// [ParseKey].
	Key crypto.Signer
	// KeyID is the JWT's kid; "": it has none.
	KeyID string
	// Audience is the JWT's aud; "": the address that the request goes to.
	// Interactive Brokers wants the text "/token".
	Audience string
	// Lifetime of the JWT; 0: [DefaultAssertionLifetime].
	Lifetime time.Duration
}

// ParseKey reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1) for
// [Assertion.Key]. Its errors tell nothing of the text.
func ParseKey(text sdk.Secret) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text.Reveal()))
	if block == nil {
		return nil, errors.New("the private key is not in PEM (-----BEGIN PRIVATE KEY-----)")
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	return nil, errors.New("the private key can't be read: it is encrypted, or not of the kinds PKCS #8, PKCS #1 and SEC 1")
}

func (a Assertion) fault() string {
	if a.algorithm() == "" {
		return "the key of the client's assertion is none that can sign: it must be RSA, ECDSA on P-256 or Ed25519"
	}
	return ""
}

// algorithm: RFC 7518, section 3.1, and RFC 8037, section 3.1.
func (a Assertion) algorithm() string {
	if a.Key == nil {
		return ""
	}
	switch key := a.Key.Public().(type) {
	case *rsa.PublicKey:
		return "RS256"
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return "ES256"
		}
	case ed25519.PublicKey:
		return "EdDSA"
	}
	return ""
}

// sign makes the JWT of one request.
func (a Assertion) sign(clientID, address string, now time.Time) (string, error) {
	head := map[string]string{"alg": a.algorithm(), "typ": "JWT"}
	if a.KeyID != "" {
		head["kid"] = a.KeyID
	}
	audience, life := a.Audience, a.Lifetime
	if audience == "" {
		audience = address
	}
	if life <= 0 {
		life = DefaultAssertionLifetime
	}
	payload, err := json.Marshal(map[string]any{
		"iss": clientID, "sub": clientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	if err != nil {
		return "", errors.New("the client's assertion can't be made JSON")
	}
	first, _ := json.Marshal(head) // texts always marshal
	text := encodeJWT(first) + "." + encodeJWT(payload)
	signature, err := a.signature([]byte(text))
	if err != nil {
		return "", fmt.Errorf("the key of the client's assertion does not sign (%T)", err)
	}
	return text + "." + encodeJWT(signature), nil
}

func (a Assertion) signature(text []byte) ([]byte, error) {
	if a.algorithm() == "EdDSA" {
		return a.Key.Sign(rand.Reader, text, crypto.Hash(0))
	}
	sum := sha256.Sum256(text)
	signature, err := a.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil || a.algorithm() == "RS256" {
		return signature, err
	}
	var pair struct{ R, S *big.Int } // RFC 7518, section 3.4, wants them side by side
	if _, err := asn1.Unmarshal(signature, &pair); err != nil {
		return nil, err
	}
	return append(pair.R.FillBytes(make([]byte, 32)), pair.S.FillBytes(make([]byte, 32))...), nil
}

func encodeJWT(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
