package format

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func TestTemplate(t *testing.T) {
	o := Options{Location: zone(t, "Europe/Copenhagen")}
	for text, want := range map[string]string{
		"{{.AccessToken}}":                             "I0.access-<&>==",
		"{{json .AccessToken}}":                        `"I0.access-<&>=="`,
		"{{.Account | upper}}":                         "SCHWAB-MAIN",
		"{{lower .TokenType}}":                         "bearer",
		"{{base64 .TokenType}}":                        "QmVhcmVy",
		"{{base64url \"<<???\"}}":                      "PDw_Pz8",
		"{{shell .AccessToken}}":                       `"I0.access-<&>=="`,
		"{{trim \" x \"}}":                             "x",
		`{{.Account | replace "-" "_"}}`:               "schwab_main",
		"{{unix .Expiry}}":                             "1782909000",
		"{{unixmilli .Expiry}}":                        "1782909000654",
		"{{rfc3339 .Expiry}}":                          "2026-07-01T12:30:00Z",
		`{{date "15:04 MST" .Expiry}}`:                 "14:30 CEST",
		`{{.Expiry | utc | date "15:04 MST"}}`:         "12:30 UTC",
		`{{.Expiry | utc | local | date "15:04"}}`:     "14:30",
		`{{.Expiry | add "-1m" | rfc3339}}`:            "2026-07-01T12:29:00Z",
		"{{.Extra.base_uri}}":                          "https://gateway.example/sim",
		"{{.Version}}/{{.Provider}}/{{.Scope}}":        "42/schwab/api",
		"{{.RefreshToken}} {{.IDToken}}":               "refresh+/token@ header.payload.signature",
		"{{.ClientID}} {{.ClientSecret}}":              "app-key app-secret",
		`{{if has . "RefreshToken"}}y{{else}}n{{end}}`: "y",
		`{{if has .Extra "none"}}y{{else}}n{{end}}`:    "n",
	} {
		tmpl, err := ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got, err := tmpl.Encode(full(), o)
		if err != nil || string(got) != want {
			t.Errorf("%s wrote %q, %v; want %q", text, got, err, want)
		}
		if err := CheckTemplate(text, true); err != nil {
			t.Errorf("check of %s: %v", text, err)
		}
	}
}

func TestTemplateErrorsHaveALine(t *testing.T) {
	for text, want := range map[string]TemplateError{
		"a\n{{.AccessToken":          {2, "unclosed action"},
		"a\n\n{{nope .AccessToken}}": {3, `function "nope" not defined`},
		"\n{{.AcessToken}}":          {2, "there is no AcessToken"},
		"{{.RefreshToken}}":          {1, "there is no RefreshToken"},
		"{{.ClientSecret}}":          {1, "there is no ClientSecret"},
		`{{add "1" .Expiry}}`:        {1, "a duration like"},
		`{{json now}}`:               {1, `"now" not defined`},
		`{{unix .AccessToken}}`:      {1, "{{.AccessToken}} can't be evaluated"},
		"\n\n  ":                     {0, "writes nothing"},
		"{{define \"a\"}}{{template \"a\" .}}{{end}}{{template \"a\" .}}": {1, "can't be evaluated"},
		"{{range 10000000}}xxxxxxxxxxxxxxxxxxxxx{{end}}":                  {0, "more than"},
	} {
		err := CheckTemplate(text, false)
		var e *TemplateError
		if !errors.As(err, &e) || e.Line != want.Line || !strings.Contains(e.Message, want.Message) {
			t.Errorf("%q: %v; want line %d, %s", text, err, want.Line, want.Message)
		}
	}
}

// text/template quotes values in some of its errors.
func TestTemplateErrorsTellNothing(t *testing.T) {
	for _, text := range []string{
		"{{range .AccessToken}}{{end}}", "{{range $i, $c := .AccessToken}}{{template \"x\"}}{{end}}", "{{call .AccessToken}}", "{{index .AccessToken 999}}", "{{slice .AccessToken 999}}",
		"{{index .Extra.base_uri .AccessToken}}", "{{add .AccessToken .Expiry}}", "{{.AccessToken.Foo}}", "{{len 3 .AccessToken}}",
		"{{lt .AccessToken 3}}", "{{shell .AccessToken}}", "{{json .}}{{unix .RefreshToken}}", "{{.AccessToken | printf | unix}}",
	} {
		tmpl, err := ParseTemplate(text)
		if err != nil {
			continue
		}
		d := full()
		d.AccessToken, d.RefreshToken = sdk.NewSecret("CANARY\n"), sdk.NewSecret("CANARY")
		if _, err := tmpl.Encode(d, Options{}); err != nil && strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: the error tells the token: %v", text, err)
		}
	}
}

func TestTemplateSeesNoMoreThanTheSink(t *testing.T) {
	tmpl, err := ParseTemplate("{{json .}}")
	if err != nil {
		t.Fatal(err)
	}
	b, err := tmpl.Encode(bare(), Options{})
	if err != nil || !strings.Contains(string(b), "I0.access") {
		t.Fatalf("wrote %s, %v", b, err)
	}
	for _, secret := range []string{"refresh+/", "header.payload", "app-"} {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s was given away", secret)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{{.AccessToken}}", "{{if has . \"x\"}}{{end}}", "{{range .AccessToken}}{{end}}", "{{", "{{/* */}}", "{{.Extra.a.b}}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "range") { // it may count for ever
			return
		}
		var e *TemplateError
		if err := CheckTemplate(text, true); err != nil && (!errors.As(err, &e) || strings.Contains(e.Message, "-canary")) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
