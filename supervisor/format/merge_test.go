package format

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// newer is a document that replaces what the files below hold.
func newer() Document {
	return Document{
		Account: "main", AccessToken: sdk.NewSecret("A2<&>"), RefreshToken: sdk.NewSecret("R2"),
		IssuedAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
		Expiry:   time.Date(2026, 7, 1, 12, 31, 0, 250000987, time.UTC),
	}
}

func TestMerge(t *testing.T) {
	loc := zone(t, "Europe/Copenhagen") // UTC+2 in July
	for name, tt := range map[string]struct{ format, existing, want string }{
		"saxo: what is not ours stays, in its place": {SaxoCache,
			"{\n  \"note\": \"\\u00e9\",\n  \"access_token\": \"A1\",\n  \"app_key\": \"k\",\n  \"app_secret\": \"s\",\n  \"refresh_token\": \"R1\",\n  \"token_expiry\": \"2026-07-01T13:00:00.123456\",\n  \"big\": 12345678901234567890.50,\n  \"list\": [\n    1\n  ]\n}\n",
			"{\n  \"note\": \"\\u00e9\",\n  \"access_token\": \"A2<&>\",\n  \"app_key\": \"k\",\n  \"app_secret\": \"s\",\n  \"refresh_token\": \"R2\",\n  \"token_expiry\": \"2026-07-01T14:30:00.250000\",\n  \"big\": 12345678901234567890.50,\n  \"list\": [\n    1\n  ]\n}\n"},
		"saxo: Z": {SaxoCache,
			`{"refresh_token":"R1","token_expiry":"2026-07-01T13:00:00Z"}`,
			`{"refresh_token":"R2","token_expiry":"2026-07-01T12:30:00Z","access_token":"A2<&>"}`},
		"saxo: UTC": {SaxoCache,
			`{"access_token": "A1", "refresh_token": "R1", "token_expiry": "2026-07-01T13:00:00.123456+00:00"}`,
			`{"access_token": "A2<&>", "refresh_token": "R2", "token_expiry": "2026-07-01T12:30:00.250000+00:00"}`},
		"saxo: the local offset of another season": {SaxoCache,
			`{"access_token":"A1","refresh_token":"R1","token_expiry":"2026-01-01 13:00:00+0100"}`,
			`{"access_token":"A2<&>","refresh_token":"R2","token_expiry":"2026-07-01 14:30:00+0200"}`},
		"saxo: the offset of elsewhere": {SaxoCache,
			`{"access_token":"A1","refresh_token":"R1","token_expiry":"2026-07-01T13:00:00.123-04:00"}`,
			`{"access_token":"A2<&>","refresh_token":"R2","token_expiry":"2026-07-01T08:30:00.250-04:00"}`},
		"saxo: epoch as text": {SaxoCache,
			`{"access_token":"A1","refresh_token":"R1","token_expiry":"1782900000"}`,
			`{"access_token":"A2<&>","refresh_token":"R2","token_expiry":"1782909000"}`},
		"saxo: nonsense": {SaxoCache,
			`{"access_token":"A1","refresh_token":"R1","token_expiry":"soon"}`,
			`{"access_token":"A2<&>","refresh_token":"R2","token_expiry":"2026-07-01T14:30:00.250000"}`},
		"saxo: only the client is there": {SaxoCache,
			`{"app_key":"k","app_secret":"s"}`,
			`{"app_key":"k","app_secret":"s","access_token":"A2<&>","refresh_token":"R2","token_expiry":"2026-07-01T14:30:00.250000"}`},
		"schwab: the login is not ours to change, numbers may be text": {Schwab,
			`{"creation_timestamp": 1782720930, "token": {"expires_at": "1782900000", "expires_in": "1800", "x": {"y": [1, "a, b: c"]}, "access_token": "A1", "id_token": "I1", "refresh_token": "R1"}, "v": null}`,
			`{"creation_timestamp": 1782720930, "token": {"expires_at": "1782909060", "expires_in": "1860", "x": {"y": [1, "a, b: c"]}, "access_token": "A2<&>", "id_token": "I1", "refresh_token": "R2"}, "v": null}`},
		"schwab: a float": {Schwab,
			"{\n\t\"token\": {\n\t\t\"refresh_token\": \"R1\",\n\t\t\"expires_at\": 1782900000.5\n\t},\n\t\"creation_timestamp\": 1782720930.25\n}",
			"{\n\t\"token\": {\n\t\t\"refresh_token\": \"R2\",\n\t\t\"expires_at\": 1782909060.25,\n\t\t\"expires_in\": 1860,\n\t\t\"access_token\": \"A2<&>\"\n\t},\n\t\"creation_timestamp\": 1782720930.25\n}"},
		"schwab-py: a bare token gets its object": {SchwabPy,
			`{"token_type": "Bearer", "access_token": "A1", "refresh_token": "R1", "expires_at": 1782900000}`,
			`{"token": {"token_type": "Bearer", "access_token": "A2<&>", "refresh_token": "R2", "expires_at": 1782909060, "expires_in": 1860}, "creation_timestamp": 1782907200}`},
		"json: nothing of the old token stays, by others what is theirs does": {JSON,
			`{"access_token":"A1","refresh_token":"R1","expires_at":1782900000123,"version":7,"login_uncertain":true,"refresh_expires_at":1,"extra":{"theirs":"x"},"scope":"s"}`,
			`{"access_token":"A2<&>","refresh_token":"R2","expires_at":1782909060250,"extra":{"theirs":"x"},"scope":"s","account":"main","expires":"2026-07-01T12:31:00Z","issued_at":"2026-07-01T12:00:00Z"}`},
		"a half-written file is none": {SchwabPy,
			`{"creation_timestamp": 1782720930, "token": {"access_`,
			`{"creation_timestamp": 1782907200, "token": {"expires_in": 1860, "refresh_token": "R2", "access_token": "A2<&>", "expires_at": 1782909060}}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Merge(tt.format, []byte(tt.existing), newer(), Options{Location: loc})
			if err != nil || string(got) != tt.want {
				t.Errorf("got\n%s\nwant\n%s\n%v", got, tt.want, err)
			}
		})
	}
}

func TestMergeKeepsTheLoginOnlyWhereItKnowsNone(t *testing.T) {
	d := newer()
	d.LoginAt = time.Unix(1782800000, 0)
	got, err := Merge(Schwab, []byte(`{"creation_timestamp": 5, "token": {"refresh_token": "R1"}}`), d, Options{})
	if err != nil || !strings.Contains(string(got), `"creation_timestamp": 1782800000`) {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestMergeRefuses(t *testing.T) {
	if _, err := Merge("xml", []byte(`{"a":1}`), newer(), Options{}); !errors.Is(err, ErrUnknown) {
		t.Errorf("an unknown format: %v", err)
	}
	for _, name := range Names() {
		if b, err := Merge(name, []byte(`{"a":1}`), Document{Account: "main"}, Options{}); err == nil {
			t.Errorf("%s wrote %s without a token", name, b)
		}
	}
}

// unknown are the members of an object that no format knows.
func unknown(t *rapid.T, label string) map[string]any {
	m := map[string]any{}
	maps.Copy(m, rapid.MapOfN(rapid.StringMatching(`[A-Z].{0,4}`), rapid.OneOf(
		rapid.Just(any(nil)), rapid.Just[any](true), rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.Int32(), func(i int32) any { return float64(i) }),
		rapid.Map(rapid.SliceOfN(rapid.String(), 0, 2), func(s []string) any {
			all := []any{}
			for _, x := range s {
				all = append(all, x)
			}
			return all
		}),
	), 0, 3).Draw(t, label))
	return m
}

// timeStyles are ways to write one moment.
func timeStyles(t *rapid.T, at time.Time, loc *time.Location) any {
	return rapid.SampledFrom([]any{
		at.Unix(), fmt.Sprint(at.Unix()), at.UnixMilli(), float64(at.Unix()) + 0.5,
		at.In(loc).Format("2006-01-02T15:04:05.000000"), at.In(loc).Format("2006-01-02 15:04:05"),
		at.UTC().Format("2006-01-02T15:04:05.000Z"), at.In(loc).Format(time.RFC3339), at.UTC().Format("2006-01-02T15:04:05-0700"),
		"soon", nil,
	}).Draw(t, "style")
}

// Whatever a file holds and however its times are written, a merged document
// reads as it is, and nobody else's keys are lost.
func TestMergeRoundTrip(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Europe/Copenhagen"), zone(t, "America/New_York"), zone(t, "Asia/Kolkata")}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(Names()).Draw(t, "format")
		loc := rapid.SampledFrom(zones).Draw(t, "zone")
		o := Options{Location: loc}
		d := document(t)
		old := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "old"), 0)

		top, token := unknown(t, "unknown"), unknown(t, "unknown below")
		existing, inner := map[string]any{}, map[string]any{}
		maps.Copy(existing, top)
		maps.Copy(inner, token)
		wrapped := name == Schwab || name == SchwabPy
		if wrapped {
			inner["access_token"], inner["expires_at"] = "old", timeStyles(t, old, loc)
			existing["token"], existing["creation_timestamp"] = inner, timeStyles(t, old, loc)
		} else {
			existing["access_token"], existing["refresh_token"] = "old", "older"
			existing["expires_at"], existing["token_expiry"] = timeStyles(t, old, loc), timeStyles(t, old, loc)
		}
		indent := rapid.SampledFrom([]string{"", " ", "  ", "\t"}).Draw(t, "indent")
		raw, err := json.Marshal(existing)
		if indent != "" && err == nil {
			raw, err = json.MarshalIndent(existing, "", indent)
		}
		if err != nil {
			t.Fatal(err)
		}

		b, err := Merge(name, raw, d, o)
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
		if loss >= time.Hour/2 { // a local time in the hour that a clock shows twice
			loss -= zoneChange(d.Expiry.Add(-time.Minute), loc)
		}
		if loss < 0 || loss > time.Second {
			t.Fatalf("expiry %v came back as %v: %s", d.Expiry, got.Expiry, b)
		}
		if lines := strings.Contains(string(b), "\n"); lines != (indent != "") {
			t.Fatalf("laid out in another way: %s", b)
		}
		var after map[string]any
		if err := json.Unmarshal(b, &after); err != nil {
			t.Fatal(err)
		}
		holds(t, after, top)
		if wrapped {
			holds(t, after["token"].(map[string]any), token)
		}
		again, err := Merge(name, b, d, o)
		if err != nil || string(again) != string(b) {
			t.Fatalf("the same document changed the file again: %v\n%s\n%s", err, b, again)
		}
	})
}

func holds(t *rapid.T, got, want map[string]any) {
	t.Helper()
	for k, v := range want {
		if !reflect.DeepEqual(got[k], v) {
			t.Fatalf("%q was %v and is %v", k, v, got[k])
		}
	}
}

func FuzzMerge(f *testing.F) {
	for _, s := range []string{
		`{"access_token":"a","expires_at":1782907200,"extra":{"k":"v"},"a":1,"a":2}`,
		"{\n \"creation_timestamp\": 1782900000.5, \"token\":{\"refresh_token\":\"r\",\"expires_at\":\"1e300\"}}\n",
		`{"refresh_token":"r","token_expiry":"2026-10-25T02:30:00.123456+02:00","\ud800":"\udfff","app_key":"k"}`,
		`{"token":[],"access_token":""}`, `{"token":`, "", "{}", `{"":{}}`, "[1]",
	} {
		f.Add([]byte(s))
	}
	loc := zone(f, "Europe/Copenhagen")
	f.Fuzz(func(t *testing.T, existing []byte) {
		d := newer()
		for _, name := range Names() {
			b, err := Merge(name, existing, d, Options{Location: loc})
			if err != nil {
				t.Fatalf("%s over %q: %v", name, existing, err)
			}
			got, err := Decode(name, b, Options{Location: loc})
			if err != nil || !got.RefreshToken.Equal(d.RefreshToken) || !got.AccessToken.Equal(d.AccessToken) {
				t.Errorf("%s over %q made %q, which reads as another token: %v", name, existing, b, err)
			}
			if late := got.Expiry.Sub(d.Expiry); late > 0 || late < -time.Second {
				t.Errorf("%s over %q made %q, whose expiry is off by %v", name, existing, b, late)
			}
		}
	})
}
