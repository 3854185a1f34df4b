package record

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unique"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// This file reads a record as this program writes most of them, in a tenth of the time
// that encoding/json takes: a store of a hundred thousand accounts is opened with it. What
// is in any way unlike that, it leaves to encoding/json.

// plain is JSON that is read from its beginning, without a space and with the fields in
// their order.
type plain struct {
	b []byte
	// failed: it is something else.
	failed bool
}

var (
	recordNames = namesInOrder(reflect.TypeFor[recordLayout]())
	tokenNames  = namesInOrder(reflect.TypeFor[tokenLayout]())
)

// namesInOrder are the names of a type's fields, in the order in which they are written.
func namesInOrder(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, namesInOrder(f.Type)...)
		} else if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// readPlain reads a record; ok is false if encoding/json must.
func readPlain(b []byte) (r Record, ok bool) {
	p := &plain{b: b}
	p.object(recordNames, func(name string) {
		switch name {
		case "account":
			r.Account = p.text()
		case "provider":
			r.Provider = p.word()
		case "version":
			r.Version = p.number()
		case "way":
			r.Way = Way(p.word())
		case "origin":
			r.Origin = Origin(p.word())
		case "attempt":
			r.Attempt = p.text()
		case "stored_at":
			r.StoredAt = p.time()
		case "login_at":
			r.LoginAt = p.time()
		case "login_uncertain":
			r.LoginUncertain = p.truth()
		case "refresh_expiry":
			r.RefreshExpiry = p.time()
		case "granted_to":
			p.other(&r.GrantedTo)
		case "grant":
			r.Grant = p.number()
		case "parent":
			r.Parent = p.text()
		case "fingerprints":
			p.other(&r.Fingerprints)
		case "past":
			p.other(&r.Past)
		case "health":
			p.other(&r.Health)
		case "token":
			p.token(&r.Token)
		default:
			p.failed = true
		}
	})
	return r, !p.failed && len(p.b) == 0
}

func (p *plain) token(t *sdk.Token) {
	p.object(tokenNames, func(name string) {
		switch name {
		case "access_token":
			t.AccessToken = sdk.NewSecret(p.text())
		case "refresh_token":
			t.RefreshToken = sdk.NewSecret(p.text())
		case "token_type":
			t.TokenType = p.word()
		case "scope":
			t.Scope = p.word()
		case "id_token":
			t.IDToken = sdk.NewSecret(p.text())
		case "issued_at":
			t.IssuedAt = moment.Known(p.time())
		case "lifetime":
			t.Lifetime = p.span()
		case "uncertain":
			t.Uncertain = p.truth()
		case "refresh_lifetime":
			t.RefreshLifetime = p.span()
		case "skew":
			t.Skew = p.span()
		case "extra":
			t.Extra = map[string]string{}
			p.each(func(name, value string) { t.Extra[name] = value })
		case "private":
			t.Private = map[string]sdk.Secret{}
			p.each(func(name, value string) { t.Private[name] = sdk.NewSecret(value) })
		default:
			p.failed = true
		}
	})
}

// object reads an object that has some of the fields, each of which read takes.
func (p *plain) object(names []string, read func(name string)) {
	p.fields(func(name []byte) {
		for len(names) > 0 && names[0] != string(name) {
			names = names[1:]
		}
		if len(names) == 0 {
			p.failed = true
			return
		}
		field := names[0]
		names = names[1:]
		read(field)
	})
}

// each reads an object of texts.
func (p *plain) each(read func(name, value string)) {
	p.fields(func(name []byte) { read(unique.Make(string(name)).Value(), p.text()) })
}

// fields reads an object that is not empty.
func (p *plain) fields(read func(name []byte)) {
	for begin := byte('{'); !p.failed; begin = ',' {
		p.take(begin)
		name, escaped := p.quoted()
		p.take(':')
		if p.failed = p.failed || escaped; !p.failed {
			read(name)
		}
		if len(p.b) > 0 && p.b[0] == '}' {
			p.b = p.b[1:]
			return
		}
	}
}

// take goes over one byte, which must be that one.
func (p *plain) take(c byte) {
	if p.failed = p.failed || len(p.b) == 0 || p.b[0] != c; !p.failed {
		p.b = p.b[1:]
	}
}

// quoted is what stands between quotation marks, and whether something in it is escaped.
func (p *plain) quoted() (text []byte, escaped bool) {
	p.take('"')
	for n := 0; n < len(p.b) && !p.failed; n++ {
		switch c := p.b[n]; {
		case c == '\\':
			escaped = true
			n++
		case c == '"':
			text, p.b = p.b[:n], p.b[n+1:]
			p.failed = !utf8.Valid(text)
			return text, escaped
		case c < ' ':
			p.failed = true
		}
	}
	p.failed = true
	return nil, false
}

func (p *plain) text() string {
	whole := p.b
	text, escaped := p.quoted()
	if !escaped {
		return string(text)
	}
	var s string
	p.failed = p.failed || json.Unmarshal(whole[:len(text)+2], &s) != nil
	return s
}

// word is a text that many records have.
func (p *plain) word() string { return unique.Make(p.text()).Value() }

func (p *plain) time() (t time.Time) {
	text, escaped := p.quoted()
	p.failed = p.failed || escaped || t.UnmarshalText(text) != nil
	return t
}

func (p *plain) span() time.Duration {
	d, err := time.ParseDuration(p.text())
	p.failed = p.failed || err != nil
	return d
}

func (p *plain) number() uint64 {
	b := p.upToNext()
	n, err := strconv.ParseUint(string(b), 10, 64)
	p.failed = p.failed || err != nil || b[0] == '0' && len(b) > 1
	return n
}

func (p *plain) truth() bool {
	is := string(p.upToNext()) == "true"
	p.failed = p.failed || !is // false is not written
	return is
}

// upToNext is a value that ends with a comma or the object.
func (p *plain) upToNext() []byte {
	n := max(0, bytes.IndexAny(p.b, ",}"))
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

// other reads an object or a list, or a text, by encoding/json.
func (p *plain) other(v any) {
	depth, n := 0, 0
	for rest := p.b; !p.failed; rest = p.b[n:] {
		switch {
		case len(rest) == 0:
			p.failed = true
			continue
		case rest[0] == '"':
			q := plain{b: rest}
			q.quoted()
			p.failed = q.failed
			n = len(p.b) - len(q.b)
		default:
			if rest[0] == '{' || rest[0] == '[' {
				depth++
			} else if rest[0] == '}' || rest[0] == ']' {
				depth--
			}
			n++
		}
		if depth <= 0 {
			break
		}
	}
	if !p.failed {
		p.failed = json.Unmarshal(p.b[:n], v) != nil
		p.b = p.b[n:]
	}
}
