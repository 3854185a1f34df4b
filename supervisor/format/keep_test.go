package format

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func TestKeep(t *testing.T) {
	bare := Document{Account: "main", Version: 2, AccessToken: sdk.NewSecret("A2"), Expiry: time.Unix(1782909060, 0)}
	whole := bare
	whole.RefreshToken, whole.ClientID, whole.ClientSecret = sdk.NewSecret("R2"), "k", sdk.NewSecret("s")
	whole.Extra = map[string]string{"base_uri": "u"}
	for name, tt := range map[string]struct {
		format, existing string
		d                Document
		want             string
	}{
		"what is not ours comes after what is": {JSON,
			`{"note": "\u00e9", "access_token": "A1", "list": [1], "big": 12345678901234567890.50, "account": "other"}`, bare,
			"{\n  \"account\": \"main\",\n  \"version\": 2,\n  \"access_token\": \"A2\",\n  \"expires_at\": 1782909060,\n  \"expires\": \"2026-07-01T12:31:00Z\",\n" +
				"  \"note\": \"\\u00e9\",\n  \"list\": [\n    1\n  ],\n  \"big\": 12345678901234567890.50\n}\n"},
		"a refresh token that is left out now is not left behind": {JSON,
			`{"access_token":"A1","refresh_token":"R1","id_token":"I1","refresh_expires_at":1,"extra":{"x":"y"},"n":1}`, bare,
			"{\n  \"account\": \"main\",\n  \"version\": 2,\n  \"access_token\": \"A2\",\n  \"expires_at\": 1782909060,\n  \"expires\": \"2026-07-01T12:31:00Z\",\n  \"n\": 1\n}\n"},
		"what the broker gave beside the token is replaced as a whole": {JSON, `{"extra":{"x":"y"}}`, Document{
			Account: "a", AccessToken: sdk.NewSecret("A2"), Extra: map[string]string{"base_uri": "u"}},
			"{\n  \"account\": \"a\",\n  \"access_token\": \"A2\",\n  \"extra\": {\n    \"base_uri\": \"u\"\n  }\n}\n"},
		"below": {Schwab,
			`{"creation_timestamp": 5, "theirs": {"refresh_token": "T"}, "token": {"refresh_token": "R1", "id_token": "I1", "mine": {"a": 1}, "expires_in": 1}}`,
			Document{Account: "a", AccessToken: sdk.NewSecret("A2"), LoginAt: time.Unix(1782000000, 0)},
			"{\n    \"creation_timestamp\": 1782000000,\n    \"token\": {\n        \"access_token\": \"A2\",\n        \"mine\": {\n            \"a\": 1\n        }\n    },\n" +
				"    \"theirs\": {\n        \"refresh_token\": \"T\"\n    }\n}"},
		"below, in one line": {SchwabPy, `{"token": {"mine": [1, 2]}, "v": null}`,
			Document{Account: "a", AccessToken: sdk.NewSecret("A2"), LoginAt: time.Unix(1782000000, 0)},
			`{"creation_timestamp": 1782000000, "token": {"access_token": "A2", "mine": [1, 2]}, "v": null}`},
		"saxo, with the client": {SaxoCache, `{"app_secret":"old","environment":"live","token_expiry":"x"}`, whole,
			"{\n  \"access_token\": \"A2\",\n  \"refresh_token\": \"R2\",\n  \"token_expiry\": \"2026-07-01T12:30:00\",\n  \"app_key\": \"k\",\n  \"app_secret\": \"s\",\n  \"environment\": \"live\"\n}"},
		"saxo, without": {SaxoCache, `{"app_key":"k","app_secret":"s","refresh_token":"R1","environment":"live"}`, bare,
			"{\n  \"access_token\": \"A2\",\n  \"token_expiry\": \"2026-07-01T12:30:00\",\n  \"environment\": \"live\"\n}"},
		"message": {MessageName, `{"refresh_token":"R1","note":[1,"a"]}`, bare, `{"access_token":"A2","expires_at":1782909060,"note":[1,"a"]}`},
		"another format was there: Schwab's": {MessageName, `{"token":{"refresh_token":"R1","access_token":"A1","mine":1},"creation_timestamp":5}`, bare,
			`{"access_token":"A2","expires_at":1782909060,"token":{"mine":1},"creation_timestamp":5}`},
		"another format was there: Saxo's": {MessageName, `{"app_secret":"s","token_expiry":"x","app_key":"k"}`, bare,
			`{"access_token":"A2","expires_at":1782909060,"token_expiry":"x","app_key":"k"}`},
		"another format was there: ours": {SchwabPy, `{"refresh_token":"R1","id_token":"I1","note":1}`,
			Document{Account: "a", AccessToken: sdk.NewSecret("A2"), LoginAt: time.Unix(1782000000, 0)},
			`{"creation_timestamp": 1782000000, "token": {"access_token": "A2"}, "note": 1}`},
		"a secret of a bot's own": {MessageName, `{"app_secret":"mine"}`, bare, `{"access_token":"A2","expires_at":1782909060,"app_secret":"mine"}`},
		"nothing":                 {MessageName, ``, bare, `{"access_token":"A2","expires_at":1782909060}`},
		"a list":                  {MessageName, `[{"note":1}]`, bare, `{"access_token":"A2","expires_at":1782909060}`},
		"cut off":                 {MessageName, `{"note":1`, bare, `{"access_token":"A2","expires_at":1782909060}`},
		"another kind":            {Raw, `{"note":1}`, bare, `A2`},
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Location: time.UTC}
			got, err := Keep(tt.format, []byte(tt.existing), tt.d, o)
			if err != nil || string(got) != tt.want {
				t.Fatalf("got\n%s\nwant\n%s\n%v", got, tt.want, err)
			}
			if again, err := Keep(tt.format, got, tt.d, o); err != nil || string(again) != string(got) {
				t.Errorf("a second time\n%s\n%v", again, err)
			}
		})
	}
}

// Of a login whose time nobody knows, creation_timestamp does not become later
// with each refresh.
func TestKeepOfTheLogin(t *testing.T) {
	const issued, older, younger = 1782900000, 1782720930, 1782900001
	file := func(at int, refresh string) string {
		return fmt.Sprintf(`{"creation_timestamp": %d, "token": {"refresh_token": %q, "access_token": "A1"}}`, at, refresh)
	}
	for name, tt := range map[string]struct {
		existing string
		login    int64 // 0: not known
		refresh  string
		want     int64
	}{
		"the same refresh token": {file(older, "R"), 0, "R", older},
		"another one":            {file(older, "R1"), 0, "R", issued},
		"none in the file":       {file(older, ""), 0, "R", issued},
		"none in both":           {file(older, ""), 0, "", issued},
		"none is written":        {file(older, "R"), 0, "", issued},
		"the login is known":     {file(older, "R"), 1782800000, "R", 1782800000},
		"later than the token":   {file(younger, "R"), 0, "R", issued},
		"no time that can be":    {file(0, "R"), 0, "R", issued},
		"no file":                {"", 0, "R", issued},
		"half a file":            {file(older, "R")[:60], 0, "R", issued},
	} {
		for _, layout := range []string{Schwab, SchwabPy} {
			t.Run(layout+", "+name, func(t *testing.T) {
				d := Document{
					Account: "a", AccessToken: sdk.NewSecret("A2"), RefreshToken: sdk.NewSecret(tt.refresh),
					IssuedAt: time.Unix(issued, 0), Expiry: time.Unix(issued+1800, 0),
				}
				if tt.login != 0 {
					d.LoginAt = time.Unix(tt.login, 0)
				}
				b, err := Keep(layout, []byte(tt.existing), d, Options{})
				if err != nil {
					t.Fatal(err)
				}
				got, err := Decode(layout, b, Options{})
				if err != nil || got.LoginAt.Unix() != tt.want || !got.AccessToken.Equal(d.AccessToken) {
					t.Errorf("got %d, want %d: %s, %v", got.LoginAt.Unix(), tt.want, b, err)
				}
			})
		}
	}
}

// Whatever a format of ours wrote with secrets leaves none behind when another
// one replaces it without; readers find the new token; what is theirs is there.
func TestKeepLeavesNoSecretOfOurs(t *testing.T) {
	secret := func(s string) sdk.Secret { return sdk.NewSecret("CANARY-" + s) }
	names := append(Names(), MessageName)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(1782900000, 0)
		before := Document{
			Account: "main", AccessToken: secret("access"), RefreshToken: secret("refresh"), IDToken: secret("id"),
			ClientID: "key", ClientSecret: secret("client"), IssuedAt: at, Expiry: at.Add(time.Hour), LoginAt: at,
		}
		file := "{}"
		theirs := unknown(t, "theirs")
		if b, err := json.Marshal(theirs); err == nil && len(theirs) > 0 {
			file = string(b)
		}
		written := rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "written")
		for _, name := range written {
			b, err := Keep(name, []byte(file), before, Options{})
			if err != nil {
				t.Fatal(err)
			}
			file = string(b)
		}
		name := rapid.SampledFrom(names).Draw(t, "then")
		after := Document{Account: "main", AccessToken: sdk.NewSecret("new"), IssuedAt: at, Expiry: at.Add(2 * time.Hour), LoginAt: at}
		got, err := Keep(name, []byte(file), after, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got), "CANARY") {
			t.Fatalf("%s after %v:\n%s", name, written, got)
		}
		var all map[string]any
		if err := json.Unmarshal(got, &all); err != nil {
			t.Fatal(err)
		}
		for key := range theirs {
			if _, there := all[key]; !there {
				t.Fatalf("%q is gone from\n%s", key, got)
			}
		}
		if name != MessageName {
			d, err := Decode(name, got, Options{})
			if err != nil || d.AccessToken.Reveal() != "new" {
				t.Fatalf("%v of\n%s", err, got)
			}
		}
	})
}

func FuzzKeep(f *testing.F) {
	f.Add(JSON, `{"a":{"b":1},"token":{"refresh_token":"x"}}`)
	f.Add(Schwab, `{"token":[],"token_dictionary":{"access_token":1}}`)
	d := Document{Account: "a", AccessToken: sdk.NewSecret("A2"), LoginAt: time.Unix(1782000000, 0)}
	f.Fuzz(func(t *testing.T, name, existing string) {
		got, err := Keep(name, []byte(existing), d, Options{})
		if err != nil {
			return
		}
		if Keeps(name) && !json.Valid(got) {
			t.Errorf("format %s over %q: %q", name, existing, got)
		}
		if again, err := Keep(name, got, d, Options{}); err != nil || Keeps(name) && string(again) != string(got) {
			t.Errorf("a second time: %q, %v, after %q", again, err, got)
		}
	})
}

// What others put there may be nested as deep as JSON goes: indented, a few
// kilobytes of it would come to gigabytes, and nobody could read the token.
func TestDeepKeysOfOthersStaySmall(t *testing.T) {
	const depth = 9000
	deep := strings.Repeat("[", depth) + strings.Repeat("]", depth)
	many := func(n int) string {
		return `{"access_token":"old","token_expiry":"2026-01-01T00:00:00",` + "\n" + strings.Repeat(" ", 16) + `"theirs":[` + strings.Repeat(deep+",", n) + `"]\"["]}`
	}
	at := time.Unix(1782000000, 0)
	d := Document{Account: "main", AccessToken: sdk.NewSecret("new"), RefreshToken: sdk.NewSecret("r"), IssuedAt: at, Expiry: at.Add(time.Hour), LoginAt: at}
	for name, tt := range map[string]struct {
		existing string
		kept     bool
	}{
		"one":                {many(1), true},
		"many":               {many(50), true},
		"no room at all":     {`{"theirs":"` + strings.Repeat("x", Largest-len(`{"theirs":""}`)) + `"}`, false},
		"no room to lay out": {`{"theirs": [` + strings.Repeat("1, ", Largest/3-100) + `1]}`, true},
	} {
		for way, write := range map[string]func(string, []byte, Document, Options) ([]byte, error){"keep": Keep, "merge": Merge} {
			got, err := write(SaxoCache, []byte(tt.existing), d, Options{})
			if err != nil {
				t.Fatal(name, way, err)
			}
			if read, err := Decode(SaxoCache, got, Options{}); err != nil || read.AccessToken.Reveal() != "new" || len(got) > Largest {
				t.Errorf("%s, %s: %d bytes, %v", name, way, len(got), err)
			}
			if kept := strings.Contains(string(got), `"theirs"`); kept != tt.kept {
				t.Errorf("%s, %s: kept %t, want %t", name, way, kept, tt.kept)
			}
		}
	}
}
