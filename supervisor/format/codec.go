package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Options of [Encode] and [Decode]; the zero value is good.
type Options struct {
	// Location of naive local times; nil: [time.Local]. It must be that of
	// the programs which read and write the file.
	Location *time.Location
	// Indent is the number of spaces per level; 0: what the format's own
	// programs write; below 0: everything in one line.
	Indent int
}

func (o Options) location() *time.Location {
	if o.Location == nil {
		return time.Local
	}
	return o.Location
}

// layout is one format.
type layout struct {
	name   string
	indent int
	// spaces: where everything is in one line, there is a space after each
	// comma and colon.
	spaces bool
	// layoutOf returns what marshals to the format.
	layoutOf func(Document, Options) any
	read     func(object, Options) Document
	// detect says whether an object looks like this format.
	detect func(object) bool

	// For Merge: times are the moments that the format writes, by the path of
	// their key; ofToken are the keys that tell of one token alone; lift
	// brings an older layout of the file into this one.
	times   func(Document) map[string]time.Time
	ofToken []string
	lift    func(members) members
}

// layouts in the order in which [Detect] asks them.
func layouts() []layout {
	wrapped := layout{
		name: Schwab, indent: 4, layoutOf: schwabLayout, read: readSchwab,
		detect: func(o object) bool { return o.object("token") != nil },
		times:  schwabTimes, ofToken: schwabOfToken(), lift: liftSchwab,
	}
	python := wrapped
	python.name, python.indent, python.spaces, python.read = SchwabPy, 0, true, readSchwabPy
	return []layout{
		wrapped,
		python,
		{
			name: SaxoCache, indent: 2, layoutOf: saxoLayout, read: readSaxo,
			detect: func(o object) bool { return o.has("token_expiry") || o.has("app_key") },
			times:  saxoTimes, ofToken: []string{"access_token", "refresh_token", "token_expiry"},
		},
		{
			name: JSON, indent: 2, layoutOf: jsonLayout, read: readJSON,
			detect: func(o object) bool { return o.has("access_token") || o.has("refresh_token") },
			times:  jsonTimes, ofToken: jsonOfToken(),
		},
	}
}

func find(name string) (layout, error) {
	for _, l := range layouts() {
		if l.name == name {
			return l, nil
		}
	}
	return layout{}, fmt.Errorf("%w %q: it must be one of %s", ErrUnknown, name, strings.Join(Names(), ", "))
}

// Names returns the names of all formats that [Encode] and [Decode] know. For
// those that [Encode] knows alone see [OneWay].
func Names() []string { return []string{JSON, Schwab, SchwabPy, SaxoCache} }

// Encode returns d in the named format. What d does not hold is left out. It
// ends with a newline only where the format's own programs write one.
func Encode(name string, d Document, o Options) ([]byte, error) {
	if encode, ok := oneWay()[name]; ok {
		return encodeOneWay(name, encode, d)
	}
	l, err := find(name)
	if err != nil {
		return nil, err
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("format %s: %w", name, err)
	}
	indent := l.indent
	if o.Indent != 0 {
		indent = max(o.Indent, 0)
	}
	b, err := marshal(l.layoutOf(d, o), indent)
	if err != nil {
		return nil, fmt.Errorf("format %s, account %s: %w", name, d.Account, err)
	}
	if l.spaces && o.Indent == 0 {
		b = spaced(b)
	}
	if name == JSON && indent > 0 {
		b = append(b, '\n')
	}
	return b, nil
}

// Message returns d as the one JSON object that goes over a Unix socket:
// access_token, refresh_token if d has one, and expires_at in epoch seconds, a
// number. It has no newline: its reader takes what one recv returns.
func Message(d Document) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return marshal(struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token,omitempty"`
		ExpiresAt    int64  `json:"expires_at"`
	}{d.AccessToken.Reveal(), d.RefreshToken.Reveal(), epoch(d.Expiry)}, 0)
}

// check refuses a document that tells its readers nothing.
func (d Document) check() error {
	if d.AccessToken.IsZero() && d.RefreshToken.IsZero() {
		return fmt.Errorf("account %s has no token to write", d.Account)
	}
	for _, t := range []time.Time{d.IssuedAt, d.Expiry, d.LoginAt, d.RefreshExpiry} {
		if y := t.UTC().Year(); y < 1 || y > maxYear {
			return fmt.Errorf("account %s has a time in the year %d: the broker's answer or this machine's clock is wrong", d.Account, y)
		}
	}
	return nil
}

// Decode reads b, which programs of many kinds may have written: a time may be
// naive or not, a number may be a string, and what is optional may be missing.
// A Document has an access token, a refresh token or both; all else may be
// zero. ErrUnreadable: b is not a whole document, as a file is that is being
// written. No error tells anything of the content.
func Decode(name string, b []byte, o Options) (Document, error) {
	l, err := find(name)
	if err != nil {
		return Document{}, err
	}
	fields, err := parse(b)
	if err != nil {
		return Document{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	if name == Schwab && fields.object("token") == nil {
		return Document{}, fmt.Errorf("%w: it has no object token, as format %s has", ErrUnreadable, name)
	}
	d := l.read(fields, o)
	if d.AccessToken.IsZero() && d.RefreshToken.IsZero() {
		return Document{}, fmt.Errorf("%w: it has neither an access_token nor a refresh_token where format %s has them", ErrUnreadable, name)
	}
	return d, nil
}

// Detect names the format of b; ok is false if it looks like none. A file of
// schwab-py is called [Schwab], which reads the same.
func Detect(b []byte) (name string, ok bool) {
	fields, err := parse(b)
	if err != nil {
		return "", false
	}
	for _, l := range layouts() {
		if l.detect(fields) {
			return l.name, true
		}
	}
	return "", false
}

// marshal writes what Python's json.dump would: no escapes for HTML.
func marshal(v any, indent int) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", strings.Repeat(" ", indent))
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// parse reads one JSON object and nothing else.
func parse(b []byte) (object, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("it is empty")
	}
	var o object
	err := json.Unmarshal(b, &o)
	// The text of a syntax error quotes the input.
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, fmt.Errorf("it is no JSON, or cut off, at byte %d of %d", syntax.Offset, len(b))
	}
	if err != nil || o == nil {
		return nil, errors.New("it is no JSON object")
	}
	return o, nil
}
