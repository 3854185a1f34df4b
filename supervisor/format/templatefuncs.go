package format

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"text/template"
	"time"
)

// templateFuncs are what a template may call beside the functions of
// text/template. None tells a value in an error.
func templateFuncs(loc *time.Location) template.FuncMap {
	return template.FuncMap{
		// has says whether the document (or a table in it) holds a field.
		"has": func(m any, key string) bool {
			switch m := m.(type) {
			case map[string]any:
				_, ok := m[key]
				return ok
			case map[string]string:
				_, ok := m[key]
				return ok
			}
			return false
		},
		// json writes a value as JSON: text in quotes, a time as RFC 3339.
		"json": func(v any) (string, error) {
			var b bytes.Buffer
			enc := json.NewEncoder(&b)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(v); err != nil {
				return "", fault("json can't write this kind of value")
			}
			return strings.TrimSuffix(b.String(), "\n"), nil
		},
		"base64":    func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64url": func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		// shell quotes a value as one word of a POSIX shell.
		"shell": func(s string) (string, error) {
			q, err := shellQuote(s)
			if err != nil {
				return "", fault("a value given to shell " + err.Error())
			}
			return q, nil
		},
		"upper": strings.ToUpper,
		"lower": strings.ToLower,
		"trim":  strings.TrimSpace,
		"replace": func(old, new, s string) string {
			return strings.ReplaceAll(s, old, new)
		},
		// unix and unixmilli round to the earlier.
		"unix":      epoch,
		"unixmilli": func(t time.Time) int64 { return t.UnixMilli() },
		"rfc3339":   stamp,
		"utc":       func(t time.Time) time.Time { return t.UTC() },
		"local":     func(t time.Time) time.Time { return t.In(loc) },
		// date writes a time as Go's layout says: {{date "2006-01-02" .Expiry}}.
		"date": func(layout string, t time.Time) string { return t.Format(layout) },
		// add moves a time: {{.Expiry | add "-60s" | unix}}.
		"add": func(d string, t time.Time) (time.Time, error) {
			by, err := time.ParseDuration(d)
			if err != nil {
				return t, fault("add needs a duration like 90s or -5m")
			}
			return t.Add(by), nil
		},
	}
}
