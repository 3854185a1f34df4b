package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
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

// layout is one format. One that is only read has a name, read and detect.
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
	// unwrap takes the object out of what stands around it; nil: nothing does.
	unwrap func([]byte) []byte

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
		schwabdev(),
		{
			name: SaxoCache, indent: 2, layoutOf: saxoLayout, read: readSaxo,
			detect: func(o object) bool { return o.has("token_expiry") || o.has("app_key") },
			times:  saxoTimes, ofToken: []string{"access_token", "refresh_token", "token_expiry"},
		},
		goOAuth2(),
		answer(),
		{
			name: JSON, indent: 2, layoutOf: jsonLayout, read: readJSON,
			detect: object.hasToken,
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
	return layout{}, fmt.Errorf("%w %q: it must be one of %s", ErrUnknown, name, strings.Join(ReadNames(), ", "))
}

// Names returns the names of all formats that [Encode] and [Decode] know. For
// those that [Encode] knows alone see [OneWay].
func Names() []string { return []string{JSON, Schwab, SchwabPy, SaxoCache} }

// ReadNames returns the names of all formats that [Decode] knows.
func ReadNames() []string { return append(Names(), Answer, GoOAuth2, Schwabdev) }

// writable is find for a format that can be written.
func writable(name string) (layout, error) {
	l, err := find(name)
	if err == nil && l.layoutOf == nil {
		err = fmt.Errorf("format %s is only read, and never written: write one of %s", name, strings.Join(Names(), ", "))
	}
	return l, err
}

// Encode returns d in the named format. What d does not hold is left out. It
// ends with a newline only where the format's own programs write one.
func Encode(name string, d Document, o Options) ([]byte, error) {
	if encode, ok := oneWay()[name]; ok {
		return encodeOneWay(name, encode, d)
	}
	l, err := writable(name)
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
// number, if it is known. It has no newline: its reader takes what one recv
// returns.
func Message(d Document) ([]byte, error) {
	if err := d.check(); err != nil {
		return nil, err
	}
	return marshal(struct {
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token,omitempty"`
		ExpiresAt    int64  `json:"expires_at,omitempty"`
	}{d.AccessToken.Reveal(), d.RefreshToken.Reveal(), epoch(d.Expiry)}, 0)
}

// check refuses a document that tells its readers nothing.
func (d Document) check() error {
	if d.AccessToken.IsZero() && d.RefreshToken.IsZero() {
		return fmt.Errorf("account %s has no token to write", d.Account)
	}
	for _, t := range []time.Time{d.IssuedAt, d.Expiry, d.LoginAt, d.RefreshExpiry} {
		if !t.IsZero() && !moment.Sane(t) {
			return fmt.Errorf("account %s has a time in the year %d: the broker's answer or this machine's clock is wrong", d.Account, t.UTC().Year())
		}
	}
	return nil
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
