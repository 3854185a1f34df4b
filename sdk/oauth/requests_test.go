package oauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// A worded request goes the way of the plain one: marked before it leaves, its
// answer durable before it is read, and the same attempt answered from there.
func TestWordedRequestsAreSpooled(t *testing.T) {
	for _, encoding := range []Encoding{EncodingForm, EncodingJSON, EncodingQuery} {
		t.Run(string(encoding), func(t *testing.T) {
			ctx, slot, _ := withSlot(t, t.TempDir())
			progress := spool.Progress("")
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				progress = slot.Progress()
				answerWith(200, "application/json", `{"data":{"accessToken":"A","refreshToken":"r2-the-new-one"}}`)(w, r)
			})
			e := endpointAt(s.URL)
			e.Requests.Encoding, e.Answers = encoding, Answers{Root: "data", Names: camel}
			first, err := (&Client{}).Refresh(ctx, e, refreshRequest())
			if err != nil || progress != spool.Sent {
				t.Fatalf("at the server the slot said %q; %v", progress, err)
			}
			again, err := (&Client{}).Refresh(ctx, e, refreshRequest())
			if err != nil || !reflect.DeepEqual(again, first) || first.RefreshToken.Reveal() != "r2-the-new-one" || s.count() != 1 {
				t.Errorf("recovered %v, %d requests; the tokens are equal: %t", err, s.count(), reflect.DeepEqual(again, first))
			}
		})
	}
}

// A GET is told to people, once, with the host and nothing of the address.
func TestGetIsTold(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	e := endpointAt(s.URL)
	client := &Client{}
	for _, encoding := range []Encoding{EncodingJSON, EncodingQuery, EncodingQuery} {
		e.Requests.Encoding = encoding
		if _, err := client.Refresh(t.Context(), e, refreshRequest()); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "GET"); n != 1 || strings.Contains(log.String(), "canary") || !strings.Contains(log.String(), e.host()) {
		t.Errorf("told %d times: %s", n, log.String())
	}
}

// A refusal of a GET tells nothing of its address.
func TestGetErrorsTellNoAddress(t *testing.T) {
	e := endpointAt("http://127.0.0.1:1")
	e.Requests.Encoding = EncodingQuery
	_, err := refresh(t, e)
	wantKind(t, err, sdk.KindNotSent)
	for _, status := range []int{302, 500} {
		s := serve(t, answerWith(status, "text/html", "", "Location", "/x?refresh_token="+canaryRefresh))
		e := endpointAt(s.URL)
		e.Requests.Encoding = EncodingQuery
		_, err := refresh(t, e)
		wantKind(t, err, sdk.KindTransient)
		if s.count() != 1 {
			t.Errorf("%d requests", s.count())
		}
	}
}

func TestAssertions(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edKey, _ := ed25519.GenerateKey(rand.Reader)
	tests := map[string]struct {
		key    crypto.Signer
		verify func(text, signature []byte) bool
	}{
		"RS256": {rsaKey, func(text, signature []byte) bool {
			sum := sha256.Sum256(text)
			return rsa.VerifyPKCS1v15(&rsaKey.PublicKey, crypto.SHA256, sum[:], signature) == nil
		}},
		"ES256": {ecKey, func(text, signature []byte) bool {
			sum := sha256.Sum256(text)
			return len(signature) == 64 && ecdsa.Verify(&ecKey.PublicKey, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
		}},
		"EdDSA": {edKey, func(text, signature []byte) bool {
			return ed25519.Verify(edKey.Public().(ed25519.PublicKey), text, signature)
		}},
	}
	for alg, tt := range tests {
		t.Run(alg, func(t *testing.T) {
			der, err := x509.MarshalPKCS8PrivateKey(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			key, err := ParseKey(sdk.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))))
			if err != nil {
				t.Fatal(err)
			}
			s := serve(t, answerWith(200, "application/json", goodAnswer))
			e := endpointAt(s.URL)
			e.Requests.Assertion = &Assertion{Key: key, KeyID: "k1"}
			seen := map[string]bool{}
			for _, audience := range []string{"", "/token"} {
				e.Requests.Assertion.Audience = audience
				if _, err := refresh(t, e); err != nil {
					t.Fatal(err)
				}
				form := url.Values(s.forms[len(s.forms)-1])
				if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Get("client_id") != "app" || form.Has("client_secret") {
					t.Errorf("the form has %v", form)
				}
				parts := strings.Split(form.Get("client_assertion"), ".")
				if len(parts) != 3 {
					t.Fatalf("%d parts", len(parts))
				}
				signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
				if !tt.verify([]byte(parts[0]+"."+parts[1]), signature) {
					t.Error("the signature is wrong")
				}
				var head, claims map[string]any
				for i, to := range []*map[string]any{&head, &claims} {
					b, _ := base64.RawURLEncoding.DecodeString(parts[i])
					if err := json.Unmarshal(b, to); err != nil {
						t.Fatal(err)
					}
				}
				want := audience
				if want == "" {
					want = e.TokenURL
				}
				now, exp := time.Now().Unix(), int64(claims["exp"].(float64))
				jti, _ := claims["jti"].(string)
				if head["alg"] != alg || head["kid"] != "k1" || claims["iss"] != "app" || claims["sub"] != "app" || claims["aud"] != want ||
					exp <= now || exp > now+61 || jti == "" || seen[jti] {
					t.Errorf("head %v, claims %v", head, claims)
				}
				seen[jti] = true
			}
		})
	}
}

// A certificate is shown to the server, and one without it never hears the
// request.
func TestMutualTLS(t *testing.T) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	requests := 0
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		_ = r.ParseForm()
		if !bytes.Equal(r.TLS.PeerCertificates[0].Raw, der) || r.PostForm.Get("client_id") != "app" {
			t.Errorf("the client is %v with another certificate", r.PostForm["client_id"])
		}
		answerWith(200, "application/json", goodAnswer)(w, r)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	e := endpointAt(s.URL)
	e.AuthStyle = AuthInParams
	req := refreshRequest()
	req.Account.ClientSecret = sdk.Secret{}
	_, err = (&Client{RootCAs: roots}).Refresh(t.Context(), e, req)
	wantKind(t, err, sdk.KindNotSent)
	e.Requests.Certificate = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	if _, err := (&Client{RootCAs: roots}).Refresh(t.Context(), e, req); err != nil || requests != 1 {
		t.Errorf("%d requests: %v", requests, err)
	}
}

func TestMisworded(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	tests := map[string]struct {
		change func(*Endpoint)
		names  string
	}{
		"encoding":           {func(e *Endpoint) { e.Requests.Encoding = "xml" }, "xml"},
		"header's value":     {func(e *Endpoint) { e.Requests.Header = map[string]string{"X": "a\r\nb"} }, "header"},
		"header's name":      {func(e *Endpoint) { e.Requests.Header = map[string]string{"X Y": "a"} }, "header"},
		"resource, relative": {func(e *Endpoint) { e.Requests.Resource = []string{"/mcp"} }, "resource"},
		"resource, fragment": {func(e *Endpoint) { e.Requests.Resource = []string{"https://a.example/#b"} }, "resource"},
		"no key":             {func(e *Endpoint) { e.Requests.Assertion = &Assertion{} }, "key"},
		"key of P-384":       {func(e *Endpoint) { e.Requests.Assertion = &Assertion{Key: p384} }, "key"},
		"refresh_url":        {func(e *Endpoint) { e.RefreshURL = "/refresh" }, "refresh_url"},
	}
	for name, tt := range tests {
		e := endpointAt(s.URL)
		tt.change(&e)
		_, err := refresh(t, e)
		if sdk.KindOf(err) != sdk.KindInvalidClient || !strings.Contains(err.Error(), tt.names) || !strings.Contains(err.Error(), "main") {
			t.Errorf("%s: kind %s: %v", name, sdk.KindOf(err), err)
		}
	}
	if s.count() != 0 {
		t.Errorf("%d requests", s.count())
	}
	for _, text := range []string{"", canarySecret, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, err := ParseKey(sdk.NewSecret(text)); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%v", err)
		}
	}
}

// A login names the resource, and the exchange goes to the token's own address.
func TestLoginOfAResource(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	e := endpointAt(s.URL)
	e.Requests.Resource, e.RefreshURL = []string{"https://api.example/mcp?a=b"}, s.URL+"/refresh"
	raw, err := e.AuthCodeURL(sdk.AuthRequest{Account: account(), State: "S"})
	if err != nil {
		t.Fatal(err)
	}
	if u, _ := url.Parse(raw); u.Query().Get("resource") != "https://api.example/mcp?a=b" {
		t.Errorf("the login is at %s", raw)
	}
	if _, err := (&Client{}).Exchange(t.Context(), e, sdk.ExchangeRequest{Account: account(), Code: sdk.NewSecret("c")}); err != nil {
		t.Fatal(err)
	}
	if r := s.posts[0]; r.URL.Path != "/token" || r.PostForm.Get("resource") != "https://api.example/mcp?a=b" {
		t.Errorf("the exchange went to %s with %v", r.URL.Path, r.PostForm["resource"])
	}
}
