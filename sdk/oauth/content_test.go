package oauth

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func compressed(text string, to func(io.Writer) io.WriteCloser) []byte {
	var b bytes.Buffer
	w := to(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.Bytes()
}

func gzipped(text string) []byte {
	return compressed(text, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zlibbed(text string) []byte {
	return compressed(text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

func deflated(text string) []byte {
	return compressed(text, func(w io.Writer) io.WriteCloser {
		f, _ := flate.NewWriter(w, flate.DefaultCompression)
		return f
	})
}

func utf16be(text string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.BigEndian.AppendUint16(b, u)
	}
	return b
}

func utf16le(text string) []byte {
	b := utf16be("\ufeff" + text)
	for i := 0; i < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}

// Whatever a server or a content network did to an answer, its refresh token is
// taken if it can be read without any doubt; and what may hold one and can't be
// read is told from what holds none.
func TestRefreshTokenIsTakenWhereverItCanBeRead(t *testing.T) {
	const (
		access, next = canaryAccess, "next-refresh-token-2"
		pair         = `"access_token":"` + access + `","refresh_token":"` + next + `"`
		object       = `{` + pair + `,"expires_in":1800}`
	)
	// In each of the answers, what was found: both tokens, the refresh token
	// alone, neither though one may be there (unread), or none.
	const both, alone, unread, none = "both", "alone", "unread", "none"
	bomb := gzipped(object[:len(object)-1] + `,"pad":"` + strings.Repeat("x", 4<<20) + `"}`)
	bare := gzipped(strings.Repeat(" ", 4<<20))
	corrupt := gzipped(object)
	corrupt[len(corrupt)-6] ^= 1
	tests := map[string]struct {
		body            []byte
		encoding, media string
		want            string
		rescued         bool
	}{
		"plain":                               {body: []byte(object), want: both},
		"gzip":                                {body: gzipped(object), encoding: "gzip", want: both},
		"gzip that the header keeps quiet of": {body: gzipped(object), want: both},
		"x-gzip":                              {body: gzipped(object), encoding: "x-gzip", want: both},
		"gzip twice":                          {body: gzipped(string(gzipped(object))), encoding: "gzip, gzip", want: both},
		"gzip in the header alone":            {body: []byte(object), encoding: "gzip", want: both},
		"gzip with something behind it":       {body: append(gzipped(object), "\r\n"...), encoding: "gzip", want: both},
		"deflate":                             {body: zlibbed(object), encoding: "deflate", want: both},
		"deflate, unsaid":                     {body: zlibbed(object), want: both},
		"deflate without its frame":           {body: deflated(object), encoding: "deflate", want: both},
		"deflate, then gzip":                  {body: gzipped(string(deflated(object))), encoding: "deflate, gzip", want: both},
		"br":                                  {body: []byte("\x0b\x02\x80{\"a\x03"), encoding: "br", want: unread},
		"br that is none":                     {body: []byte(object), encoding: "br", want: both},
		"zstd":                                {body: []byte("\x28\xb5\x2f\xfd\x04\x00"), encoding: "zstd", want: unread},
		"deflate without frame, unsaid":       {body: deflated(object), want: unread},
		"damaged gzip":                        {body: corrupt, encoding: "gzip", want: unread},
		"gzip that ends early":                {body: gzipped(object)[:len(gzipped(object))-9], encoding: "gzip", want: both},
		"a bomb":                              {body: bomb, encoding: "gzip", want: both, rescued: true},
		"a bomb of nothing":                   {body: bare, encoding: "gzip", want: none},
		"UTF-16, big endian":                  {body: utf16be(object), want: both},
		"UTF-16, little endian, marked":       {body: utf16le(object), want: both},
		"a mark before it":                    {body: []byte("\xef\xbb\xbf" + object), want: both},

		"an empty access token":        {body: []byte(`{"access_token":"","refresh_token":"` + next + `","expires_in":1800}`), want: alone},
		"no access token":              {body: []byte(`{"refresh_token":"` + next + `"}`), want: alone},
		"a null access token":          {body: []byte(`{"access_token":null,"refresh_token":"` + next + `"}`), want: alone},
		"in an object":                 {body: []byte(`{"status":"ok","data":` + object + `}`), want: both, rescued: true},
		"in a list":                    {body: []byte(`[` + object + `]`), want: both, rescued: true},
		"in a text":                    {body: []byte(`"{\"access_token\":\"` + access + `\",\"refresh_token\":\"` + next + `\"}"`), want: both, rescued: true},
		"twice":                        {body: []byte(object + object), want: both},
		"behind a guard":               {body: []byte(")]}',\n" + object), want: both, rescued: true},
		"in a call":                    {body: []byte("callback(" + object + ");"), want: both, rescued: true},
		"in a page":                    {body: []byte("<html><pre>" + object + "</pre>"), media: "text/html", want: both, rescued: true},
		"a form":                       {body: []byte("access_token=" + access + "&refresh_token=" + next), media: "application/x-www-form-urlencoded", want: both},
		"a form that does not say so":  {body: []byte("access_token=" + access + "&refresh_token=" + next + "\n"), media: "text/plain", want: both},
		"cut behind both":              {body: []byte(`{` + pair + `,"expires_in":18`), want: both, rescued: true},
		"cut behind the refresh token": {body: []byte(`{"refresh_token":"` + next + `","access_token":"canary-acc`), want: alone, rescued: true},
		"cut at its last quote":        {body: []byte(`{"refresh_token":"` + next + `"`), want: alone, rescued: true},

		"cut before its last quote":        {body: []byte(`{"access_token":"` + access + `","refresh_token":"` + next), want: unread},
		"two of them":                      {body: []byte(`[{"refresh_token":"one-refresh-token-1"},{"refresh_token":"two-refresh-token-2"}]`), want: unread},
		"by another name":                  {body: []byte(`{"accessToken":"` + access + `","refreshToken":"` + next + `"}`), want: unread},
		"as Django's SimpleJWT calls it":   {body: []byte(`{"access":"` + access + `","refresh":"` + next + `"}`), want: unread},
		"deep, by another name":            {body: []byte(`{"data":{"jwt_refresh":"` + next + `"}}`), want: unread},
		"a form, by another name":          {body: []byte("access=" + access + "&refresh=" + next), media: "text/plain", want: unread},
		"a token and nothing else":         {body: []byte("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl\n"), media: "text/plain", want: unread},
		"a token and nothing else, quoted": {body: []byte(`"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"`), want: unread},
		"a short one and nothing else":     {body: []byte("Zk3vQ9tLx2Rb7NcW5yHd8mPa"), media: "text/plain", want: unread},
		"a short one, quoted":              {body: []byte(`"zk3vQ9tLx2Rb7NcW5yHd8mPaQ0s-fT_u7=="`), want: unread},
		"a shorter one":                    {body: []byte("Zk3vQ9tLx2Rb7NcW5yHd8mP"), media: "text/plain", want: none},
		"the number of a trace":            {body: []byte("4bf92f3577b34da6a3ce929d0e0e4736"), media: "text/plain", want: none},
		"a number that sorts by time":      {body: []byte("01ARZ3NDEKTSV4RRFFQ69G5FAV"), media: "text/plain", want: none},
		"the name of a fault":              {body: []byte("ServiceTemporarilyUnavailable503"), media: "text/plain", want: none},
		"what is said about one":           {body: []byte(`{"refresh_expires_at":"2026-11-30T10:00:00Z","refresh_in":"1800seconds","refreshTokenId":"12345-67890"}`), want: none},
		"a word":                           {body: []byte("service_temporarily_unavailable"), media: "text/plain", want: none},
		"an object, by another name":       {body: []byte(`{"access":{"token":"` + access + `"},"refresh":{"token":"` + next + `"}}`), want: unread},
		"an echo, by another name":         {body: []byte(`{"refresh":"` + canaryRefresh + `"}`), want: none},
		"a time, by another name":          {body: []byte(`{"lastRefresh":"2026-11-30T10:00:00Z","refresh_after":1764514300,"refreshError":"invalid_refresh_token"}`), want: none},
		"an error about it":                {body: []byte(`{"success":false,"errors":{"refreshToken":"expired","refresh_token":"expired"}}`), want: none},
		"the number of a request":          {body: []byte("7f9c2ba4-e88f-42d7-9a01-5f2d0c6bafc1"), media: "text/plain", want: none},
		"the name of a machine":            {body: []byte("ip-10-0-12-34.eu-west-1.compute.internal"), media: "text/plain", want: none},
		"as an object":                     {body: []byte(`{"refresh_token":{"value":"` + next + `"}}`), want: unread},
		"XML":                              {body: []byte(`<?xml version="1.0"?><t><refresh_token>` + next + `</refresh_token></t>`), media: "application/xml", want: unread},
		"binary":                           {body: []byte("\x00\xff\x03\x9c"), want: unread},
		"nothing":                          {want: none},
		"an empty object":                  {body: []byte(`{}`), want: none},
		"empty tokens":                     {body: []byte(`{"access_token":"","refresh_token":"","refresh_token_expires_in":3600}`), want: none},
		"a page":                           {body: []byte("<!DOCTYPE html><title>Sign in</title>"), media: "text/html", want: none},
		"a page with a script":             {body: []byte("<html><script>post({grant_type:'refresh_token',refresh_token:state.refreshToken})</script>"), media: "text/html", want: none},
		"a page, compressed":               {body: gzipped("<html>Sign in"), media: "text/html", encoding: "gzip", want: none},
		"a sentence":                       {body: []byte("Service temporarily unavailable"), media: "text/plain", want: none},
		"an echo of it beside an error":    {body: []byte(`{"error":"invalid_grant","refresh_token":"` + canaryRefresh + `"}`), want: none},
		"a new one beside an error":        {body: []byte(`{"error":"invalid_grant","refresh_token":"` + next + `"}`), want: alone},
		"beside an error about something":  {body: []byte(`{"error":"slow_down","refresh_token":"` + next + `"}`), want: alone},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			media := tt.media
			if media == "" {
				media = "application/json"
			}
			var headers []string
			if tt.encoding != "" {
				headers = []string{"Content-Encoding", tt.encoding}
			}
			dir := t.TempDir()
			ctx, slot, sp := withSlot(t, dir)
			s := serve(t, answerWith(200, media, string(tt.body), headers...))
			token, err := (&Client{}).Refresh(ctx, endpointAt(s.URL), refreshRequest())
			if n := s.count(); n != 1 {
				t.Errorf("the server saw %d requests, want 1", n)
			}
			if got := s.posts[0].Header.Get("Accept-Encoding"); got != "identity" {
				t.Errorf("asked for the encoding %q, want identity", got)
			}
			if spooled, _ := slot.Answer(); !bytes.HasSuffix(spooled, tt.body) {
				t.Error("the spool does not hold the answer as it came")
			}
			check := func(token sdk.Token, err error) {
				t.Helper()
				var failure *sdk.Error
				got := none
				switch {
				case err == nil && token.RefreshToken.Reveal() == next && token.AccessToken.Reveal() == access:
					got = both
				case err == nil && token.RefreshToken.Reveal() == next && token.AccessToken.IsZero():
					got = alone
				case err == nil:
					t.Fatal("a wrong token")
				case !errors.As(err, &failure):
					t.Fatalf("%T", err)
				case failure.Unread:
					got = unread
				}
				if got != tt.want {
					t.Errorf("found %s (%v), want %s", got, err, tt.want)
				}
				if (token.Rescued != "") != tt.rescued {
					t.Errorf("rescued: %q", token.Rescued)
				}
				if err != nil {
					wantNoCanary(t, err)
					if got == unread && failure.Kind != sdk.KindAmbiguous {
						t.Errorf("kind %s", failure.Kind)
					}
				}
			}
			check(token, err)

			// The next process reads the same out of the spool.
			_ = sp.Close()
			ctx, _, _ = withSlot(t, dir)
			again, err := (&Client{}).Refresh(ctx, endpointAt(s.URL), refreshRequest())
			check(again, err)
		})
	}
}

// A number of which nobody knows whether it went on is not believed.
func TestLifetimeOfACutAnswer(t *testing.T) {
	for body, want := range map[string]time.Duration{
		`{"access_token":"a","refresh_token":"r","expires_in":18`:       20 * time.Minute, // the provider's default
		`{"access_token":"a","refresh_token":"r","expires_in":18,"scop`: 18 * time.Second,
	} {
		a := answer{meta: meta{Status: 200, Incomplete: "the connection was closed"}, body: []byte(body)}
		token, err := endpointAt("https://broker.example").read("main", a)
		if err != nil || token.Lifetime != want {
			t.Errorf("%s: lifetime %s, %v; want %s", body, token.Lifetime, err, want)
		}
	}
}

// An OAuth error may come compressed, too, and an error page may be damaged.
func TestCompressedErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   []byte
		kind   sdk.Kind
	}{
		"invalid_grant":  {400, gzipped(`{"error":"invalid_grant"}`), sdk.KindInvalidGrant},
		"invalid_client": {401, zlibbed(`{"error":"invalid_client"}`), sdk.KindInvalidClient},
		"damaged":        {400, gzipped(`{"error":"invalid_grant"}`)[:20], sdk.KindTransient},
		"unknown":        {503, []byte("\x0b\x02\x80"), sdk.KindTransient},
		"a bomb":         {400, gzipped(`{"error":"invalid_grant"}` + strings.Repeat(" ", 4<<20)), sdk.KindInvalidGrant},
	} {
		s := serve(t, answerWith(tt.status, "application/json", string(tt.body), "Content-Encoding", "gzip"))
		_, err := refresh(t, endpointAt(s.URL))
		t.Run(name, func(t *testing.T) { wantKind(t, err, tt.kind) })
	}
}

// An answer that an earlier version of this program spooled is read.
func TestSpooledBeforeEncodingsWereNoted(t *testing.T) {
	head := `{"status":200,"content_type":"application/json","received":"2024-01-01T00:00:00Z"}`
	for name, body := range map[string][]byte{"plain": []byte(goodAnswer), "compressed": gzipped(goodAnswer)} {
		spooled := binary.BigEndian.AppendUint32([]byte{'H'}, uint32(len(head)))
		a, err := decodeAnswer(append(append(spooled, head...), body...))
		if err != nil {
			t.Fatal(err)
		}
		token, err := endpointAt("https://broker.example").read("main", a)
		if err != nil || token.RefreshToken.Reveal() != "next" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
