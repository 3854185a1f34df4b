package format

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // so that the tests know Copenhagen everywhere

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

var update = flag.Bool("update", false, "write the golden files anew")

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// full is a document with every field set.
func full() Document {
	return Document{
		Account: "schwab-main", Provider: "schwab", Version: 42,
		AccessToken:  sdk.NewSecret("I0.access-<&>=="),
		RefreshToken: sdk.NewSecret("refresh+/token@"),
		IDToken:      sdk.NewSecret("header.payload.signature"),
		TokenType:    "Bearer", Scope: "api",
		Extra:    map[string]string{"base_uri": "https://gateway.example/sim"},
		IssuedAt: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
		Expiry:   time.Date(2026, 7, 1, 12, 30, 0, 654321987, time.UTC),
		LoginAt:  time.Date(2026, 6, 29, 8, 15, 30, 0, time.UTC), LoginUncertain: true,
		RefreshExpiry: time.Date(2026, 7, 6, 8, 15, 30, 0, time.UTC),
		ClientID:      "app-key", ClientSecret: sdk.NewSecret("app-secret"),
	}
}

// bare is what a sink without include_refresh_token may see.
func bare() Document {
	d := full()
	d.RefreshToken, d.IDToken, d.ClientID, d.ClientSecret = sdk.Secret{}, sdk.Secret{}, "", sdk.Secret{}
	return d
}

func TestGolden(t *testing.T) {
	o := Options{Location: zone(t, "Europe/Copenhagen")}
	round := full()
	round.Expiry = round.Expiry.Truncate(time.Second)
	encode := func(name string) func(Document) ([]byte, error) {
		return func(d Document) ([]byte, error) { return Encode(name, d, o) }
	}
	tests := []struct {
		file   string
		d      Document
		encode func(Document) ([]byte, error)
	}{
		{"json.json", full(), encode(JSON)},
		{"json-access-only.json", bare(), encode(JSON)},
		{"schwab.json", full(), encode(Schwab)},
		{"schwab-access-only.json", bare(), encode(Schwab)},
		{"schwab-py.json", full(), encode(SchwabPy)},
		{"saxo-cache.json", full(), encode(SaxoCache)},
		{"saxo-cache-whole-second.json", round, encode(SaxoCache)},
		{"saxo-cache-access-only.json", bare(), encode(SaxoCache)},
		{"env.env", full(), encode(Env)},
		{"env-access-only.env", bare(), encode(Env)},
		{"message.json", full(), Message},
		{"message-access-only.json", bare(), Message},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			got, err := tt.encode(tt.d)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", tt.file)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("wrote\n%s\nwant\n%s", got, want)
			}
			if strings.Contains(tt.file, "access-only") {
				for _, secret := range []string{"refresh+/", "header.payload", "app-"} {
					if bytes.Contains(got, []byte(secret)) {
						t.Errorf("%s was given away", secret)
					}
				}
			}
		})
	}
}

func TestDetectTellsTheGoldenFiles(t *testing.T) {
	for _, name := range Names() {
		b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		want := name
		if name == SchwabPy {
			want = Schwab // they read the same
		}
		if got, err := Detect(b); got != want || err != nil {
			t.Errorf("%s was taken for %q (%v)", name, got, err)
		}
		if got, err := Detect(b[:len(b)-3]); err == nil {
			t.Errorf("a half-written %s was taken for %q", name, got)
		}
	}
	for _, s := range []string{"", "[]", "null", "{}", `"token"`, `{"token": "text"}`} {
		if got, err := Detect([]byte(s)); !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s was taken for %q", s, got)
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	_, err := Encode("xml", full(), Options{})
	_, derr := Decode("xml", []byte("{}"), Options{})
	for _, err := range []error{err, derr} {
		if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), SaxoCache) {
			t.Errorf("error %v: want ErrUnknown and the names there are", err)
		}
	}
	if !slices.Equal(Names(), []string{"json", "schwab", "schwab-py", "saxo-cache"}) {
		t.Errorf("names %v", Names())
	}
}

func TestEncodeRefusesNothing(t *testing.T) {
	for _, name := range Names() {
		if b, err := Encode(name, Document{Account: "main"}, Options{}); err == nil {
			t.Errorf("%s wrote %s", name, b)
		}
		d := full()
		d.Expiry = time.Unix(1<<40, 0)
		if b, err := Encode(name, d, Options{}); err == nil {
			t.Errorf("%s wrote an expiry in the year %d: %s", name, d.Expiry.Year(), b)
		}
	}
	if b, err := Message(Document{}); err == nil {
		t.Errorf("the message %s tells nothing", b)
	}
}

func TestIndent(t *testing.T) {
	for _, name := range Names() {
		line, err := Encode(name, full(), Options{Indent: -1})
		if err != nil || bytes.ContainsAny(line, "\n\t") {
			t.Errorf("%s in one line: %s (%v)", name, line, err)
		}
		three, err := Encode(name, full(), Options{Indent: 3})
		if err != nil || !bytes.HasPrefix(three, []byte("{\n   \"")) {
			t.Errorf("%s indented by 3: %s (%v)", name, three, err)
		}
	}
}
