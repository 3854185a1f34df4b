package record

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// plain is JSON that is read from its beginning, without a space and with the fields in
// their order.
type plain struct {
	b       []byte
	decoder *Decoder
	// failed: it is something else.
	failed bool
}

// namesInOrder are the names of a type's fields, in the order in which they are written.
func namesInOrder(t reflect.Type) (names []string) {
	for f := range t.Fields() {
		if f.Anonymous {
			names = append(names, namesInOrder(f.Type)...)
		} else if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// done says whether all of it was read, and nothing else was there.
func (p *plain) done() bool { return !p.failed && len(p.b) == 0 }

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
	p.fields(func(name []byte) {
		known, ok := p.decoder.words[string(name)]
		if !ok {
			known = string(name)
			p.decoder.keep(name, known)
		}
		read(known, p.text())
	})
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

// texts reads a list of texts that is not empty.
func (p *plain) texts() (all []string) {
	for begin := byte('['); !p.failed; begin = ',' {
		p.take(begin)
		all = append(all, p.text())
		if len(p.b) > 0 && p.b[0] == ']' {
			p.b = p.b[1:]
			return all
		}
	}
	return nil
}

// take goes over one byte, which must be that one.
func (p *plain) take(c byte) {
	if p.failed = p.failed || len(p.b) == 0 || p.b[0] != c; !p.failed {
		p.b = p.b[1:]
	}
}

// quoted is what stands between quotation marks, and whether something in it is escaped.
func (p *plain) quoted() (text []byte, escaped bool) {
	if p.take('"'); p.failed {
		return nil, false
	}
	b, all := p.b, byte(0)
	for n := 0; n < len(b); n++ {
		switch c := b[n]; {
		case c == '"':
			text, p.b = b[:n], b[n+1:]
			p.failed = all >= utf8.RuneSelf && !utf8.Valid(text)
			return text, escaped
		case c == '\\':
			escaped = true
			n++
		case c < ' ':
			n = len(b)
		default:
			all |= c
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

// word is a text that many values have.
func (p *plain) word() string {
	whole := p.b
	written, _ := p.quoted()
	if known, ok := p.decoder.words[string(written)]; ok {
		return known
	}
	p.b = whole
	text := p.text()
	if !p.failed {
		p.decoder.keep(written, text)
	}
	return text
}

// name is a text that is mostly this one.
func (p *plain) name(known string) string {
	whole := p.b
	if text, escaped := p.quoted(); !escaped && string(text) == known {
		return known
	}
	if p.failed {
		return ""
	}
	p.b = whole
	return p.text()
}

// bytes is a text in base64.
func (p *plain) bytes() []byte {
	b, err := base64.StdEncoding.DecodeString(p.text())
	p.failed = p.failed || err != nil
	return b
}

func (p *plain) time() (t time.Time) {
	text, escaped := p.quoted()
	p.failed = p.failed || escaped || t.UnmarshalText(text) != nil
	return t
}

// span is a duration as people write it.
func (p *plain) span(text string) time.Duration {
	d, err := time.ParseDuration(text)
	p.failed = p.failed || err != nil
	return d
}

// nanoseconds are a duration as encoding/json writes it.
func (p *plain) nanoseconds() time.Duration {
	n := p.number()
	p.failed = p.failed || n > math.MaxInt64
	return time.Duration(n)
}

func (p *plain) count() int {
	n := p.number()
	p.failed = p.failed || n > math.MaxInt
	return int(n)
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
