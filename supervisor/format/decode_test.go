package format

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func TestUnreadable(t *testing.T) {
	for _, name := range Names() {
		whole, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		end := len(strings.TrimRight(string(whole), "\n"))
		for n := range end {
			if d, err := Decode(name, whole[:n], Options{}); !errors.Is(err, ErrUnreadable) {
				t.Fatalf("the first %d of %d bytes of %s read as %+v, %v", n, len(whole), name, d, err)
			}
		}
		for _, s := range []string{
			"null", "[]", "{}", "1", `{"token": null}`, `{"token": {}}`, `{"access_token": "", "refresh_token": ""}`,
			`{"access_token": 7}`, `{"token": {"access_token": ["SECRET"]}}`, `SECRET`, `{"access_token": "a"} SECRET`, "\x00\x00\x00",
		} {
			_, err := Decode(name, []byte(s), Options{})
			if !errors.Is(err, ErrUnreadable) {
				t.Errorf("%s of %s: %v", s, name, err)
			}
			if strings.Contains(fmt.Sprint(err), "SECRET") || strings.Contains(fmt.Sprint(err), "'S'") {
				t.Errorf("the error quotes the file: %v", err)
			}
		}
	}
}

func TestLenientTimes(t *testing.T) {
	loc := zone(t, "Europe/Copenhagen") // UTC+2 in July
	noon := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		raw  string
		want time.Time
	}{
		{`"2026-07-01T14:00:00"`, noon},
		{`"2026-07-01T14:00:00.250000"`, noon.Add(250 * time.Millisecond)},
		{`"2026-07-01 14:00:00.25"`, noon.Add(250 * time.Millisecond)},
		{`"2026-07-01T14:00"`, noon},
		{`"2026-07-01T12:00:00Z"`, noon},
		{`"2026-07-01T12:00:00.000001Z"`, noon.Add(time.Microsecond)},
		{`"2026-07-01T08:00:00-04:00"`, noon},
		{`"2026-07-01T08:00:00-0400"`, noon},
		{`"2026-07-01 12:00:00+00:00"`, noon},
		{`1782907200`, noon},
		{`1782907200.5`, noon.Add(500 * time.Millisecond)},
		{`"1782907200"`, noon},
		{`"1782907200.0"`, noon},
		{`1.7829072e9`, noon},
		{`1782907200000`, noon},
		{`null`, time.Time{}},
		{`"soon"`, time.Time{}},
		{`"NaN"`, time.Time{}},
		{`-5`, time.Time{}},
		{`1e300`, time.Time{}},
		{`true`, time.Time{}},
		{`"9999-12-31T23:59:59"`, time.Time{}},
	}
	for _, tt := range tests {
		for name, doc := range map[string]string{
			JSON:      `{"refresh_token": "r", "expires_at": %s}`,
			Schwab:    `{"token": {"refresh_token": "r", "expires_at": %s}}`,
			SchwabPy:  `{"refresh_token": "r", "expires_at": %s}`, // bare
			SaxoCache: `{"refresh_token": "r", "token_expiry": %s}`,
		} {
			d, err := Decode(name, fmt.Appendf(nil, doc, tt.raw), Options{Location: loc})
			if err != nil {
				t.Errorf("%s of %s: %v", tt.raw, name, err)
				continue
			}
			want := tt.want
			if name == SaxoCache && !want.IsZero() {
				want = want.Add(time.Minute)
			}
			if !d.Expiry.Equal(want) {
				t.Errorf("%s of %s: %v, want %v", tt.raw, name, d.Expiry, want)
			}
		}
	}
}

// Where a naive time means two moments or none, the earlier is taken.
func TestNaiveTimesWhereTheClockChanges(t *testing.T) {
	tests := []struct{ zone, naive, want string }{
		{"Europe/Copenhagen", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"},
		{"Europe/Copenhagen", "2026-03-29T02:30:00", "2026-03-29T00:30:00Z"}, // skipped
		{"Europe/Copenhagen", "2026-03-29T03:00:00", "2026-03-29T01:00:00Z"},
		{"Europe/Copenhagen", "2026-10-25T01:59:59", "2026-10-24T23:59:59Z"},
		{"Europe/Copenhagen", "2026-10-25T02:30:00", "2026-10-25T00:30:00Z"}, // twice
		{"Europe/Copenhagen", "2026-10-25T03:00:00", "2026-10-25T02:00:00Z"},
		{"America/New_York", "2026-03-08T02:30:00", "2026-03-08T06:30:00Z"}, // skipped
		{"America/New_York", "2026-11-01T01:30:00", "2026-11-01T05:30:00Z"}, // twice
		{"Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04T14:45:00Z"},
		{"Pacific/Apia", "2011-12-31T12:00:00", "2011-12-30T22:00:00Z"}, // the day after the one that never was
	}
	for _, tt := range tests {
		doc := fmt.Appendf(nil, `{"access_token": "a", "token_expiry": %q}`, tt.naive)
		d, err := Decode(SaxoCache, doc, Options{Location: zone(t, tt.zone)})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Expiry.Add(-time.Minute).UTC().Format(time.RFC3339); got != tt.want {
			t.Errorf("%s in %s is %s, want %s", tt.naive, tt.zone, got, tt.want)
		}
	}
}

func TestSchwabLogin(t *testing.T) {
	read := func(s string) Document {
		t.Helper()
		d, err := Decode(Schwab, []byte(s), Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := read(`{"creation_timestamp": 1782900000, "token": {"access_token": "a", "expires_in": 1800, "expires_at": 1782907200}}`)
	if d.LoginAt.Unix() != 1782900000 || !d.LoginUncertain {
		t.Errorf("login %v, uncertain %v", d.LoginAt, d.LoginUncertain)
	}
	if d.IssuedAt.Unix() != 1782907200-1800 {
		t.Errorf("issued at %v", d.IssuedAt)
	}
	d = read(`{"creation_timestamp": "1782900000", "token": {"access_token": "a", "expires_in": "1800"}}`)
	if d.Expiry.Unix() != 1782900000+1800 {
		t.Errorf("expiry %v without expires_at, want the earliest it can be", d.Expiry)
	}
	d = read(`{"token": {"access_token": "a"}}`)
	if !d.LoginAt.IsZero() || d.LoginUncertain || !d.Expiry.IsZero() {
		t.Errorf("read %v %v %v out of nothing", d.LoginAt, d.LoginUncertain, d.Expiry)
	}

	// The login goes out, never the refresh; an unknown one is the latest
	// moment it can have been.
	out := full()
	if b, _ := Encode(Schwab, out, Options{}); read(string(b)).LoginAt.Unix() != out.LoginAt.Unix() {
		t.Errorf("creation_timestamp is not the login: %s", b)
	}
	out.LoginAt = time.Time{}
	if b, _ := Encode(Schwab, out, Options{}); read(string(b)).LoginAt.Unix() != out.IssuedAt.Unix() {
		t.Errorf("creation_timestamp without a login: %s", b)
	}
}

// What was encoded decodes to the same, or to an expiry that is earlier by
// what the format can't hold.
func TestRoundTrip(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Copenhagen"), zone(t, "America/New_York"), zone(t, "Australia/Lord_Howe"), zone(t, "Asia/Kolkata")}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(Names()).Draw(t, "format")
		o := Options{Location: rapid.SampledFrom(zones).Draw(t, "zone"), Indent: rapid.IntRange(-1, 4).Draw(t, "indent")}
		d := document(t)
		b, err := Encode(name, d, o)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode(name, b, o)
		if err != nil {
			t.Fatalf("%v: %s", err, b)
		}
		if !got.AccessToken.Equal(d.AccessToken) || !got.RefreshToken.Equal(d.RefreshToken) {
			t.Fatalf("another token came back: %s", b)
		}
		loss := d.Expiry.Sub(got.Expiry)
		allowed := time.Second
		if name == SaxoCache {
			allowed = time.Microsecond
			if loss >= time.Hour/2 { // written in the hour that a clock shows twice
				loss -= zoneChange(d.Expiry.Add(-time.Minute), o.Location)
			}
		}
		if loss < 0 || loss >= allowed {
			t.Fatalf("expiry %v came back as %v: %s", d.Expiry, got.Expiry, b)
		}
		switch name {
		case JSON:
			same(t, b, got.Account == d.Account && got.Provider == d.Provider && got.Version == d.Version)
			same(t, b, got.IDToken.Equal(d.IDToken) && got.TokenType == d.TokenType && got.Scope == d.Scope)
			same(t, b, fmt.Sprint(got.Extra) == fmt.Sprint(d.Extra) && got.LoginUncertain == d.LoginUncertain)
			same(t, b, got.IssuedAt.Equal(d.IssuedAt) && got.LoginAt.Equal(d.LoginAt) && got.RefreshExpiry.Equal(d.RefreshExpiry))
		case Schwab, SchwabPy:
			same(t, b, got.IDToken.Equal(d.IDToken) && got.TokenType == d.TokenType && got.Scope == d.Scope)
			same(t, b, got.LoginAt.Equal(d.LoginAt) && got.IssuedAt.Equal(d.IssuedAt))
		case SaxoCache:
			same(t, b, got.ClientID == d.ClientID && got.ClientSecret.Equal(d.ClientSecret))
		}
	})
}

// zoneChange is by how much the clock of loc is put back within the three
// hours around t.
func zoneChange(t time.Time, loc *time.Location) time.Duration {
	_, before := t.Add(-3 * time.Hour).In(loc).Zone()
	_, after := t.Add(3 * time.Hour).In(loc).Zone()
	return time.Duration(before-after) * time.Second
}

func same(t *rapid.T, b []byte, ok bool) {
	t.Helper()
	if !ok {
		t.Fatalf("something got lost in %s", b)
	}
}

func document(t *rapid.T) Document {
	text := func(label string) string { return rapid.String().Draw(t, label) }
	moment := func(label string) time.Time {
		// Years with clock changes; often right at one.
		s := rapid.OneOf(rapid.Int64Range(1_700_000_000, 1_900_000_000), rapid.Int64Range(1_792_886_400, 1_792_900_800)).Draw(t, label)
		return time.Unix(s, 0).UTC()
	}
	issued := moment("issued")
	return Document{
		Account: text("account"), Provider: text("provider"), Version: rapid.Uint64().Draw(t, "version"),
		AccessToken:  sdk.NewSecret("a" + text("access")),
		RefreshToken: sdk.NewSecret(text("refresh")), IDToken: sdk.NewSecret(text("id")),
		TokenType: text("type"), Scope: text("scope"),
		Extra:    rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "extra"),
		IssuedAt: issued,
		Expiry:   issued.Add(time.Duration(rapid.Int64Range(1, int64(2*time.Hour)).Draw(t, "lifetime"))),
		LoginAt:  moment("login"), LoginUncertain: rapid.Bool().Draw(t, "uncertain"), RefreshExpiry: moment("refresh expiry"),
		ClientID: text("client"), ClientSecret: sdk.NewSecret(text("client secret")),
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"a","expires_at":1782907200,"extra":{"k":"v"}}`,
		`{"creation_timestamp":1782900000.5,"token":{"refresh_token":"r","expires_in":"1800","expires_at":"1782907200"}}`,
		`{"refresh_token":"r","token_expiry":"2026-10-25T02:30:00.123456","app_key":"k"}`,
		`{"token_expiry":"0000-00-00","access_token":""}`, `{"token":`, "",
		`{"access_token":"a","expires_in":1200}`, `{"access_token":"a","expiry":"0001-01-01T00:00:00Z","expires_in":-5}`,
		`{"access_token_issued":"2199-12-31T23:59:59","token_dictionary":{"access_token":"a","expires_in":3e9}}`,
		`[{"access_token_issued":"2026-10-25T02:30:00","access_token":"a","expires_in":1800}]`,
		`{"refresh_token":"r","token_expiry":"2199-12-31T23:59:59","issued_at":1e10,"expires_in":1e9}`,
	} {
		f.Add([]byte(s))
	}
	loc := zone(f, "Europe/Copenhagen")
	f.Fuzz(func(t *testing.T, b []byte) {
		if name, err := Detect(b); err != nil && !errors.Is(err, ErrUnreadable) {
			t.Errorf("%q: error of another kind: %v", name, err)
		}
		for _, name := range ReadNames() {
			o := Options{Location: loc}
			d, err := Decode(name, b, o)
			if err != nil {
				if !errors.Is(err, ErrUnreadable) {
					t.Errorf("error of another kind: %v", err)
				}
				continue
			}
			if d.AccessToken.IsZero() && d.RefreshToken.IsZero() {
				t.Errorf("%s read a document without a token out of %q", name, b)
			}
			for what, at := range map[string]time.Time{"issued": d.IssuedAt, "expiry": d.Expiry, "login": d.LoginAt, "refresh expiry": d.RefreshExpiry} {
				if !at.IsZero() && !moment.Sane(at) {
					t.Errorf("%s read %s %v out of %q", name, what, at, b)
				}
			}
			if !slices.Contains(Names(), name) {
				name = JSON
			}
			// What was read can be written, and reads the same again.
			again, err := Encode(name, d, o)
			if err != nil {
				t.Fatalf("%s can't write what it read out of %q: %v", name, b, err)
			}
			if back, err := Decode(name, again, o); err != nil || !back.RefreshToken.Equal(d.RefreshToken) || !back.AccessToken.Equal(d.AccessToken) {
				t.Errorf("%s lost a token between %q and %q: %v", name, b, again, err)
			}
		}
	})
}
