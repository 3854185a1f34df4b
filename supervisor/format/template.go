package format

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"text/template"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// TemplateName is the format of a [Template]; [Encode] does not know it.
const TemplateName = "template"

// templateLimit bounds what a template writes.
const templateLimit = 1 << 20

// Template is a format that the configuration describes, in the language of
// text/template. The dot has the fields of [Document] that the document holds,
// secrets as text; one that it does not hold is an error to use, except in
// {{if has . "RefreshToken"}}.
type Template struct {
	tmpl *template.Template
	text string
}

// TemplateError is what is wrong with a template.
type TemplateError struct {
	// Line of the template, from 1; 0: unknown.
	Line int
	// Message holds no value of a document.
	Message string
}

func (e *TemplateError) Error() string {
	if e.Line == 0 {
		return "the template: " + e.Message
	}
	return fmt.Sprintf("line %d of the template: %s", e.Line, e.Message)
}

// ParseTemplate reads a template. Its errors are [TemplateError]s.
func ParseTemplate(text string) (*Template, error) {
	t, err := template.New("t").Option("missingkey=error").Funcs(templateFuncs(time.Local)).Parse(text)
	if err != nil {
		return nil, parseError(err)
	}
	return &Template{tmpl: t, text: text}, nil
}

// Encode executes the template. Times are written in o's location by default.
// Its errors tell nothing of the document.
func (t *Template) Encode(d Document, o Options) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("format %s: %w", TemplateName, err)
	}
	b, err := t.execute(d, o)
	if err != nil {
		return nil, fmt.Errorf("format %s, account %s: %w", TemplateName, d.Account, executionError(err))
	}
	return b, nil
}

func (t *Template) execute(d Document, o Options) ([]byte, error) {
	c, err := t.tmpl.Clone() // Funcs changes a template, and deliveries overlap
	if err != nil {
		return nil, err
	}
	out := &bounded{}
	if err := c.Funcs(templateFuncs(o.location())).Execute(out, visible(d, o.location())); err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(out.Bytes())) == 0 {
		return nil, fault("it writes nothing")
	}
	return out.Bytes(), nil
}

// extraKeys are what a template uses of Extra.
var extraKeys = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\.Extra\.([\pL_][\pL\p{Nd}_]*)`) })

// CheckTemplate reads the template and executes it with a document that is
// made up: one with a refresh token or not, as the sink may see it. Its errors
// are [TemplateError]s.
func CheckTemplate(text string, includeRefreshToken bool) error {
	t, err := ParseTemplate(text)
	if err != nil {
		return err
	}
	at := time.Date(2026, 7, 1, 12, 30, 0, 0, time.UTC)
	d := Document{
		Account: "canary", Provider: "canary", Version: 1,
		AccessToken: sdk.NewSecret("access-canary"), TokenType: "Bearer", Scope: "canary",
		Extra:    map[string]string{},
		IssuedAt: at.Add(-30 * time.Minute), Expiry: at, LoginAt: at.Add(-time.Hour), RefreshExpiry: at.Add(24 * time.Hour),
	}
	for _, m := range extraKeys().FindAllStringSubmatch(text, -1) {
		d.Extra[m[1]] = "canary" // which of them there are is the broker's affair
	}
	if includeRefreshToken {
		d.RefreshToken, d.IDToken = sdk.NewSecret("refresh-canary"), sdk.NewSecret("id-canary")
		d.ClientID, d.ClientSecret = "canary", sdk.NewSecret("secret-canary")
	}
	if _, err := t.execute(d, Options{}); err != nil {
		return executionError(err)
	}
	return nil
}

// visible is the dot of a template: what d holds.
func visible(d Document, loc *time.Location) map[string]any {
	m := map[string]any{"Account": d.Account, "Provider": d.Provider, "Version": d.Version, "LoginUncertain": d.LoginUncertain}
	for name, s := range map[string]string{
		"AccessToken": d.AccessToken.Reveal(), "RefreshToken": d.RefreshToken.Reveal(), "IDToken": d.IDToken.Reveal(),
		"TokenType": d.TokenType, "Scope": d.Scope, "ClientID": d.ClientID, "ClientSecret": d.ClientSecret.Reveal(),
	} {
		if s != "" {
			m[name] = s
		}
	}
	for name, t := range map[string]time.Time{
		"IssuedAt": d.IssuedAt, "Expiry": d.Expiry, "LoginAt": d.LoginAt, "RefreshExpiry": d.RefreshExpiry,
	} {
		if !t.IsZero() {
			m[name] = t.In(loc)
		}
	}
	if d.Extra != nil {
		m["Extra"] = d.Extra
	}
	return m
}

// fault is an error of ours, whose text may be told.
type fault string

func (f fault) Error() string { return string(f) }

var (
	parsing   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?s)^template: t:(\d+):(?:\d+:)? (.*)$`) })
	executing = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?s)^template: t:(\d+):\d+: executing "[^"]*" at <(.*?)>: (.*)$`)
	})
	noEntry = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^map has no entry for key "([^"]*)"$`) })
)

func parseError(err error) error {
	m := parsing().FindStringSubmatch(err.Error())
	if m == nil {
		return &TemplateError{Message: strings.TrimPrefix(err.Error(), "template: t:")}
	}
	line, _ := strconv.Atoi(m[1])
	return &TemplateError{line, m[2]}
}

// executionError leaves out the text of text/template, which may quote values.
func executionError(err error) error {
	m := executing().FindStringSubmatch(err.Error())
	e := &TemplateError{Message: "it can't be executed with this document"}
	if m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Message = "{{" + m[2] + "}} can't be evaluated: look at the kinds of its values"
		if missing := noEntry().FindStringSubmatch(m[3]); missing != nil {
			e.Message = fmt.Sprintf("there is no %s in the document: it may be misspelt, or the sink may not see it; {{if has . %q}} asks for it", missing[1], missing[1])
		}
	}
	if ours, ok := errors.AsType[fault](err); ok {
		e.Message = string(ours)
	}
	return e
}

// bounded is where a template writes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > templateLimit {
		return 0, fault(fmt.Sprintf("it writes more than %d bytes", templateLimit))
	}
	return b.Buffer.Write(p)
}
