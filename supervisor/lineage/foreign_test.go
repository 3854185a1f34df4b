package lineage_test

import (
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// What a document says of its times is held against what is possible, and what
// it does not say is not made up.
func TestTimesOfADocument(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	const m = time.Minute
	tests := []struct {
		name           string
		d              format.Document
		life           time.Duration // of the provider's access tokens
		expiry, issued time.Time     // a zero issued is not looked at
		uncertain      bool
		doubted, zone  bool
	}{
		{name: "nothing", life: 20 * m},
		{name: "an expiry", d: format.Document{Expiry: at(3 * m)}, life: 20 * m, expiry: at(3 * m), issued: at(-17 * m)},
		{name: "an expiry, where nobody knows the provider", d: format.Document{Expiry: at(3 * m), WrittenAt: at(-5 * m)}, expiry: at(3 * m), issued: at(-5 * m)},
		{name: "a lifetime", d: format.Document{Lifetime: 20 * m}, life: 20 * m, expiry: at(20 * m), issued: now, uncertain: true},
		{name: "a lifetime, in a file of before", d: format.Document{Lifetime: 20 * m, WrittenAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), issued: at(-15 * m), uncertain: true},
		{name: "a lifetime, in a file of the future", d: format.Document{Lifetime: 20 * m, WrittenAt: at(time.Hour)}, life: 20 * m, expiry: at(20 * m), uncertain: true},
		{name: "a lifetime from a known moment", d: format.Document{Lifetime: 20 * m, IssuedAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), issued: at(-15 * m)},
		{name: "dead before it came", d: format.Document{Lifetime: -5 * time.Second, WrittenAt: at(-m)}, life: 20 * m, expiry: at(-m), uncertain: true},
		{name: "an expiry of long ago", d: format.Document{Expiry: at(-1000 * time.Hour)}, life: 20 * m, expiry: at(-1000 * time.Hour)},
		{name: "a longer life than known", d: format.Document{Expiry: at(39 * m)}, life: 20 * m, expiry: at(39 * m)},
		{name: "too long a life", d: format.Document{Expiry: at(9 * time.Hour)}, life: 20 * m, expiry: at(20 * m), uncertain: true, doubted: true},
		{name: "too long a life since it was written", d: format.Document{Expiry: at(9 * time.Hour), WrittenAt: at(-15 * m)}, life: 20 * m, expiry: at(5 * m), uncertain: true, doubted: true},
		{name: "a local time in another zone", d: format.Document{Expiry: at(time.Hour + 20*m), Naive: true}, life: time.Hour, expiry: at(time.Hour), uncertain: true, doubted: true, zone: true},
		{name: "a local time", d: format.Document{Expiry: at(time.Hour), Naive: true}, life: time.Hour, expiry: at(time.Hour), issued: now},
		{name: "a lifetime of a century", d: format.Document{Lifetime: 100 * 365 * 24 * time.Hour}, expiry: at(366 * 24 * time.Hour), uncertain: true, doubted: true},
		{name: "an impossible year", d: format.Document{Expiry: time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)}, life: 20 * m},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.d.AccessToken, tt.d.RefreshToken = sdk.NewSecret("a"), sdk.NewSecret("r")
			f := lineage.TokenOf(tt.d, sdk.Policy{AccessLifetime: tt.life}, now)
			if got := f.Token.Expiry(); !got.Equal(tt.expiry) {
				t.Errorf("expiry %v, want %v", got, tt.expiry)
			}
			if !tt.issued.IsZero() && !f.Token.IssuedAt.Equal(tt.issued) {
				t.Errorf("issued at %v, want %v", f.Token.IssuedAt, tt.issued)
			}
			if f.Token.Uncertain != tt.uncertain || len(f.Doubts) > 0 != tt.doubted || f.Zone != tt.zone {
				t.Errorf("uncertain %t, doubts %q, zone %t", f.Token.Uncertain, f.Doubts, f.Zone)
			}
		})
	}
}

// A token that lives by its file's word was made after the last time of the day at which
// such tokens die, if nothing tells when; but not after its file was written.
func TestLivingTokenWasMadeAfterTheLastTimeOfTheDay(t *testing.T) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) time.Time { return now.Add(d) }
	six := sdk.Deadline{Clock: sdk.TimeOfDay{Hour: 6, Zone: "UTC"}, Certain: true}
	for name, tt := range map[string]struct {
		d      format.Document
		issued time.Time
	}{
		"a lifetime":                      {format.Document{Lifetime: 10 * time.Hour}, now},
		"a lifetime, just written":        {format.Document{Lifetime: 10 * time.Hour, WrittenAt: at(-time.Minute)}, at(-time.Minute)},
		"an expiry":                       {format.Document{Expiry: at(10 * time.Hour)}, now},
		"an expiry after the next one":    {format.Document{Expiry: at(20 * time.Hour)}, at(-4 * time.Hour)},
		"a time of issue":                 {format.Document{Expiry: at(10 * time.Hour), IssuedAt: at(-10 * time.Hour)}, at(-10 * time.Hour)},
		"a file from before":              {format.Document{Expiry: at(10 * time.Hour), WrittenAt: at(-10 * time.Hour)}, at(-14 * time.Hour)},
		"a file of the evening before":    {format.Document{Expiry: at(time.Hour), WrittenAt: at(-15 * time.Hour)}, at(-23 * time.Hour)},
		"one that its file says has died": {format.Document{Expiry: at(-time.Hour)}, at(-25 * time.Hour)},
	} {
		tt.d.AccessToken = sdk.NewSecret("a")
		for what, p := range map[string]sdk.Policy{"the token": {Access: six}, "the grant": {Grant: six}, "the refresh token": {Refresh: six}} {
			p.AccessLifetime = 24 * time.Hour
			if got := lineage.TokenOf(tt.d, p, now).Token.IssuedAt; !got.Equal(tt.issued) {
				t.Errorf("%s, %s dies at six: issued at %s, want %s", name, what, got, tt.issued)
			}
		}
	}
}

// FuzzDocuments: whatever a file of any format says of its times, what comes of
// it is sane or not known, and its life is one that a token can have.
func FuzzDocuments(f *testing.F) {
	for _, name := range format.ReadNames() {
		f.Add(name, []byte(`{"access_token":"a","refresh_token":"r","expires_in":-9e15,"expires_at":253402300799,"token":{"access_token":"a","expires_in":1e9,"expires_at":1}}`), int64(1), int64(0))
		f.Add(name, []byte(`{"refresh_token":"r","expiry":"0001-01-01T00:00:00Z","token_expiry":"2199-12-31T23:59:59","access_token_issued":"1970-01-01T00:00:01"}`), int64(-1), int64(1<<62))
	}
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, name string, b []byte, written, life int64) {
		d, err := format.Decode(name, b, format.Options{Location: time.UTC})
		if err != nil {
			return
		}
		d.WrittenAt = time.Unix(written, 0)
		got := lineage.TokenOf(d, sdk.Policy{AccessLifetime: time.Duration(life)}, now)
		for what, at := range map[string]time.Time{"issued": got.Token.IssuedAt, "expiry": got.Token.Expiry(), "login": got.LoginAt} {
			if !at.IsZero() && !moment.Sane(at) {
				t.Errorf("%s: %s %v out of %q", name, what, at, b)
			}
		}
		if life := got.Token.Lifetime; life < 0 || life > 367*24*time.Hour || got.Token.IssuedAt.After(now) {
			t.Errorf("%s: a life of %v from %v out of %q", name, life, got.Token.IssuedAt, b)
		}
		if got.Token.Expiry().After(now.Add(367 * 24 * time.Hour)) {
			t.Errorf("%s: it lives until %v, by %q", name, got.Token.Expiry(), b)
		}
	})
}

// A token endpoint's answer may say when its refresh token dies.
func TestRefreshLifetimeOfAnAnswer(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	policy := sdk.Policy{AccessLifetime: 20 * time.Minute, RefreshLifetime: 40 * time.Minute, Sliding: true}
	for _, tt := range []struct {
		life    time.Duration
		written time.Time
		want    time.Time // the end
	}{
		{30 * time.Second, time.Time{}, now.Add(30 * time.Second)},
		{30 * time.Minute, now.Add(-10 * time.Minute), now.Add(20 * time.Minute)},
		{100 * 24 * time.Hour, time.Time{}, now.Add(40 * time.Minute)},
	} {
		d := format.Document{AccessToken: sdk.NewSecret("a"), RefreshToken: sdk.NewSecret("r"), Lifetime: 20 * time.Second, RefreshLifetime: tt.life, WrittenAt: tt.written}
		tok := lineage.TokenOf(d, policy, now).Token
		if end := tok.IssuedAt.Add(tok.RefreshLifetime); !end.Equal(tt.want) {
			t.Errorf("%s, written %s: it dies %s, want %s", tt.life, tt.written, end, tt.want)
		}
	}
}

// A document may say at what moment its refresh token dies. It is believed where the
// provider knows no end or a later one, and only of what can be.
func TestEndOfARefreshTokenInADocument(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	week := sdk.Policy{AccessLifetime: 30 * time.Minute, RefreshLifetime: 7 * 24 * time.Hour}
	slides := sdk.Policy{AccessLifetime: 30 * time.Minute, RefreshLifetime: time.Hour, Sliding: true}
	for name, tt := range map[string]struct {
		policy sdk.Policy
		login  time.Time
		ends   time.Time
		want   time.Time // zero: nothing that the document says
	}{
		"nobody knows better":                {sdk.Policy{}, time.Time{}, now.Add(20 * time.Minute), now.Add(20 * time.Minute)},
		"it counts from an unknown login":    {week, time.Time{}, now.Add(24 * time.Hour), now.Add(24 * time.Hour)},
		"earlier than the policy's":          {week, now.Add(-24 * time.Hour), now.Add(24 * time.Hour), now.Add(24 * time.Hour)},
		"what the policy says, rounded":      {week, now.Add(-24 * time.Hour), now.Add(6*24*time.Hour - time.Second), time.Time{}},
		"later than the policy's":            {slides, time.Time{}, now.Add(24 * time.Hour), time.Time{}},
		"less than what slides":              {slides, time.Time{}, now.Add(10 * time.Minute), now.Add(10 * time.Minute)},
		"over: an old note, or our clock":    {sdk.Policy{}, time.Time{}, now.Add(-time.Second), time.Time{}},
		"later than any":                     {sdk.Policy{}, time.Time{}, now.Add(10_000 * time.Hour), time.Time{}},
		"before our time":                    {sdk.Policy{}, time.Time{}, time.Unix(0, 0), time.Time{}},
		"at a time that no one can wait for": {sdk.Policy{}, time.Time{}, time.Unix(1<<60, 0), time.Time{}},
	} {
		for _, access := range []string{"a", ""} {
			d := format.Document{
				AccessToken: sdk.NewSecret(access), RefreshToken: sdk.NewSecret("r"), IssuedAt: now.Add(-5 * time.Minute), Expiry: now.Add(25 * time.Minute),
				LoginAt: tt.login, RefreshExpiry: tt.ends,
			}
			tok := lineage.TokenOf(d, tt.policy, now).Token
			end := time.Time{}
			if tok.RefreshLifetime != 0 {
				end = tok.IssuedAt.Add(tok.RefreshLifetime)
			}
			if !end.Equal(tt.want) {
				t.Errorf("%s: it dies %s, want %s", name, end, tt.want)
			}
		}
	}
}
