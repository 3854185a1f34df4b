package hearsay

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The secrets of these tests, with every kind of letter that brokers use.
var canaries = []string{
	"I0.b2F1dGgyLmNkYy5zY2h3YWIuY29t.Zq3+w/8v==@",
	"eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJjYW5hcnkiLCJleHAiOjE3MDB9.c2lnbmF0dXJlLW9mLWEtY2FuYXJ5",
	`pass phrase & "quotes" \ ünïcode`,
	"pin-42",
}

func told(values ...string) *Secrets {
	s := New()
	s.learn("a", newest, token, values...)
	return s
}

// encodings are what programs make of a secret without meaning to.
var encodings = map[string]func(string) string{
	"plain":            func(s string) string { return s },
	"query":            url.QueryEscape,
	"path":             url.PathEscape,
	"lower-case query": func(s string) string { return lowerPercent(url.QueryEscape(s)) },
	"twice in a query": func(s string) string { return url.QueryEscape(url.QueryEscape(s)) },
	"JSON":             quoteJSON,
	"JSON in JSON":     func(s string) string { return quoteJSON(`{"body":` + quoteJSON(s) + `}`) },
	"ASCII JSON":       strconv.QuoteToASCII,
	"base64":           func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 of addresses": func(s string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(s))
	},
	"in base64, one before":   func(s string) string { return base64.StdEncoding.EncodeToString([]byte("x" + s + "yz")) },
	"in base64, two before":   func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte("id" + s + "y")) },
	"basic credentials":       func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte("id:"+s)) },
	"base64 behind a word":    func(s string) string { return "abc" + base64.StdEncoding.EncodeToString([]byte(s)) },
	"base64 in lines":         func(s string) string { return lines(base64.StdEncoding.EncodeToString([]byte(s)), 19) },
	"base64 of a query":       func(s string) string { return base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(s))) },
	"base64 in a query":       func(s string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(s))) },
	"hexadecimal":             func(s string) string { return hex.EncodeToString([]byte(s)) },
	"split by colours":        func(s string) string { return s[:3] + "\x1b[31m" + s[3:] },
	"split by a title":        func(s string) string { return s[:3] + "\x1b]0;t\x07" + s[3:] },
	"split by invisible ones": func(s string) string { return s[:3] + "\u200b\u202e\x00" + s[3:] },
}

func quoteJSON(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

func lowerPercent(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			out.WriteString(strings.ToLower(s[i : i+3]))
			i += 2
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func lines(s string, width int) string {
	var out []string
	for len(s) > width {
		out, s = append(out, s[:width]), s[width:]
	}
	return strings.Join(append(out, s), "\n")
}

func TestSecretsAreTakenOutInEveryEncoding(t *testing.T) {
	for name, encode := range encodings {
		for i, secret := range canaries {
			t.Run(fmt.Sprintf("%s/%d", name, i), func(t *testing.T) {
				s := told(canaries...)
				encoded := encode(secret)
				got := s.Clean("the broker said: "+encoded+" , and no more", Sentence)
				if !strings.HasPrefix(got, "the broker said: ") || !strings.HasSuffix(got, ", and no more") || !strings.Contains(got, redacted) {
					t.Errorf("%q became %q", encoded, got)
				}
				if strings.Contains(got, secret) || strings.Contains(got, encoded) || len(encoded) > 20 && strings.Contains(got, encoded[5:20]) {
					t.Errorf("%q is in %q", secret, got)
				}
			})
		}
	}
}

func TestWhatIsLeftAsItIs(t *testing.T) {
	s := told(append(canaries, "live", "a-new-token-0123456789")...)
	for _, text := range []string{
		"the live environment answered HTTP 503 after 30s",
		"dial tcp 192.0.2.7:443: connect: connection refused; look at https://status.example.com/incidents?id=7",
		"Basic authentication is not supported, use Bearer tokens",
		"invalid_grant: the refresh token has expired",
		"error code: temporarily_unavailable",
		"sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 of /opt/plugins/tokenkeeper-provider-acme",
		"ünïcode, 日本語 and 🙂 stay",
		"",
	} {
		if got := s.Clean(text, Sentence); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// What nobody here knows, but is called a secret or looks like one.
func TestUnknownSecretsAreTakenOutByTheirLooks(t *testing.T) {
	const secret = "Zq8vN-unknown_0123.x"
	jwt := strings.Replace(canaries[1], "canary", "stranger", 1)
	for _, text := range []string{
		`{"refresh_token":"` + secret + `","expires_in":1800}`,
		`unexpected answer "{\"access_token\": \"` + secret + `\"}"`,
		"grant_type=refresh_token&refresh_token=" + secret + "&x=1",
		"client_secret: " + secret,
		"Authorization: Bearer " + secret,
		"authorization=Basic " + base64.StdEncoding.EncodeToString([]byte("id:"+secret)),
		"GET https://127.0.0.1:8182/?code=" + secret + "&state=1",
		"dial redis://user:" + secret + "@host:6379/0",
		url.QueryEscape(`{"refresh_token":"` + secret + `"}`),
		base64.StdEncoding.EncodeToString([]byte(`{"refresh_token":"` + secret + `"}`)),
		"the token " + jwt + " is bad",
	} {
		got := New().Clean(text, Sentence)
		if !strings.Contains(got, redacted) || strings.Contains(got, secret) || strings.Contains(got, jwt[30:50]) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A secret that was cut off is one all the same.
func TestPiecesOfASecret(t *testing.T) {
	s := told(canaries...)
	for _, text := range []string{canaries[0][:30], canaries[0][8:38], canaries[1][:70], canaries[1][30:75]} {
		if got := s.Clean("begins with "+text+" …", Sentence); strings.Contains(got, text[5:20]) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A line that ends within a secret hides neither part of it.
func TestSecretOverTwoLines(t *testing.T) {
	s := told(canaries...)
	for _, secret := range canaries {
		// The header of a JSON web token is no secret, and too short ones have no pieces.
		if len(secret) < 24 || strings.HasPrefix(secret, "eyJ") {
			continue
		}
		for at := 12; at <= len(secret)-12; at++ {
			for _, part := range []string{secret[:at], secret[at:]} {
				if got := s.Clean("got "+part+" so", Sentence); strings.Contains(got, part[:12]) || strings.Contains(got, part[len(part)-12:]) {
					t.Fatalf("cut at %d, %q became %q", at, part, got)
				}
			}
			if got := s.Clean("got "+secret[:at]+"\n"+secret[at:], Sentence); strings.Contains(got, secret[at:]) {
				t.Fatalf("cut at %d, it became %q", at, got)
			}
		}
	}
}

func TestOnlyWhatCanBeSeenIsLeft(t *testing.T) {
	for text, want := range map[string]string{
		"a\x1b[2J\x1b[1;31mred\x1b[0m":                            "ared",
		"title\x1b]0;owned\x07 over":                              "title over",
		"link\x1b]8;;http://x\x1b\\here":                          "linkhere",
		"no end\x1b]0;rest":                                       "no end0;rest",
		"bell\a back\b\b nul\x00 del\x7f c1\u009b31m":             "bell back nul del c131m",
		"one\r\ntwo\rthree\u2028four\tfive":                       "one two three four five",
		"pay\u202egnp.exe \u2066x\u2069 \u200fy":                  "paygnp.exe x y",
		"zero\u200bwidth\u2060\ufeff soft\u00adhyphen \U000E0041": "zerowidth softhyphen",
		"bad \xff\xfe utf-8 \xc3":                                 "bad ?? utf-8 ?",
		"private \ue000 use":                                      "private ? use",
		"\x1b":                                                    "",
	} {
		if got := New().Clean(text, Sentence); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestLengthIsBounded(t *testing.T) {
	version := New().Clean(strings.Repeat("ä1.", 1<<20), Name)
	if len(version) > Name || !strings.HasSuffix(version, "…") || !utf8.ValidString(version) {
		t.Errorf("a version of %d bytes: %q", len(version), version)
	}
	// A secret that begins within the bound and ends behind it.
	text := strings.Repeat("x ", Sentence/2-10) + canaries[0]
	if got := told(canaries...).Clean(text, Sentence); strings.Contains(got, canaries[0][:6]) {
		t.Errorf("ends with %q", got[len(got)-40:])
	}
}

// The newest secrets of an account are known, and those before them forgotten.
func TestOnlyTheNewestAreKept(t *testing.T) {
	s := New()
	name := func(i int) string { return fmt.Sprintf("token-number-%d-of-many-0123456789", i) }
	for i := range 100 {
		s.learn("a", newest, token, name(i), "the-client-secret")
	}
	for i, known := range map[int]bool{0: false, 50: false, 99: true, 100 - newest + 1: true} {
		if s.Tells(name(i)) != known {
			t.Errorf("token %d known: %v", i, !known)
		}
	}
	if !s.Tells("the-client-secret") {
		t.Error("what is told again and again is forgotten")
	}
	if len(s.owners["a"]) != newest || len(s.marks) > 4*newest || len(s.ends) > 3*newest {
		t.Errorf("%d secrets, %d marks and %d ends are kept", len(s.owners["a"]), len(s.marks), len(s.ends))
	}
	// One that two accounts share is known as long as one of them has it.
	s.learn("b", newest, token, name(99))
	for i := range newest {
		s.learn("a", newest, token, name(1000+i))
	}
	if !s.Tells(name(99)) {
		t.Error("b's token is forgotten with a's")
	}
}

func FuzzClean(f *testing.F) {
	for _, encode := range encodings {
		f.Add("before ", encode(canaries[0]), " behind", 1024)
	}
	f.Add("\x1b]", "\xff\x00%%\\u00", "eyJ.=+", 5)
	s := told(canaries...)
	f.Fuzz(func(t *testing.T, before, middle, behind string, limit int) {
		limit = limit&0xfff + 16
		for _, text := range []string{before + middle + behind, before + canaries[0] + behind} {
			got := s.Clean(text, limit)
			if len(got) > limit || !utf8.ValidString(got) {
				t.Fatalf("%d bytes, at most %d: %q", len(got), limit, got)
			}
			for _, r := range got {
				if !unicode.IsPrint(r) {
					t.Fatalf("%q in %q", r, got)
				}
			}
			for _, secret := range canaries {
				if strings.Contains(got, secret) {
					t.Fatalf("%q became %q", text, got)
				}
			}
			if strings.Contains(got, url.QueryEscape(canaries[0])) || strings.Contains(got, base64.StdEncoding.EncodeToString([]byte(canaries[0]))) {
				t.Fatalf("%q became %q", text, got)
			}
		}
	})
}

// Of a long text only a part is looked at, and a secret in which that part ends is
// not known as a whole. So much is taken out before it that all of the part could
// be shown.
func TestSecretAtTheEndOfWhatIsLookedAt(t *testing.T) {
	long := strings.Repeat("Long-Token0", 100)
	s := told(append(canaries, long)...)
	filler := strings.Repeat(long+" ", 8)
	for _, limit := range []int{Name, Sentence} {
		most := 4*limit + margin
		for _, secret := range canaries {
			for _, known := range []int{1, 5, piece - 1, piece + 1, len(secret) - 1} {
				known = min(known, len(secret)-1)
				before := most - known
				text := filler[:before-1] + " " + secret + strings.Repeat(" and more", 1<<10)
				for name, got := range map[string]string{
					"Clean":         s.Clean(text, limit),
					"CleanTogether": s.CleanTogether(nil, []string{text}, limit)[0], "cleanAll": s.cleanAll([]string{text}, []int{limit})[0],
				} {
					if len(got) > limit || !strings.Contains(got, redacted) || strings.Contains(got, secret[:4]) {
						t.Fatalf("%s: %d bytes of %q before the end: %q", name, known, secret, got)
					}
				}
			}
		}
	}
}

func inEveryEncoding() string {
	var all []string
	for _, encode := range encodings {
		for _, secret := range canaries {
			all = append(all, encode(secret))
		}
	}
	return strings.Join(all, " , ")
}

// What it costs a supervisor with ten thousand accounts: the memory, a refresh,
// an error's text, a line of a log. In short it is a thousand.
func BenchmarkTenThousandAccounts(b *testing.B) {
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s := New()
	unique := func(i, n int) string {
		return base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat(fmt.Sprintf("%d/%d,", i, n), 20)))
	}
	accounts := 10_000
	if testing.Short() {
		accounts = 1000
	}
	for i := range accounts {
		for n := range 3 {
			s.learn(strconv.Itoa(i), newest, token, unique(i, n), unique(i, -n-1), "the client's secret, one for all")
		}
	}
	b.Run("memory", func(b *testing.B) {
		runtime.GC()
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	})
	b.Run("a refresh", func(b *testing.B) {
		for i := range b.N {
			s.learn(strconv.Itoa(i%accounts), newest, token, unique(i, 7), unique(i, 8))
		}
	})
	for name, text := range map[string]string{
		"an error's text": "the token endpoint https://api.example.com/oauth/token answered HTTP 503: service unavailable, try again later",
		"a line of 8 KiB": strings.Repeat(`level=info msg="GET /v1/accounts/0123456789/positions" took=31ms; `, 120),
		"all encodings":   inEveryEncoding(),
		"base64 of 8 KiB": strings.Repeat("QUJD", 2<<10),
		"3 MiB":           inEveryEncoding() + strings.Repeat("long", 3<<20/4),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for range b.N {
				s.Clean(text, Line)
			}
		})
	}
}
