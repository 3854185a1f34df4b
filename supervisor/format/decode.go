package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Decode reads b, which programs of many kinds may have written: a time may be
// naive or not, a number may be a string, and what is optional may be missing.
// A Document has an access token, a refresh token or both; all else may be
// zero. A time that no token has counts as missing. ErrUnreadable: b is not a
// whole document, as a file is that is being written. No error tells anything
// of the content.
func Decode(name string, b []byte, o Options) (Document, error) {
	l, err := find(name)
	if err != nil {
		return Document{}, err
	}
	if l.unwrap != nil {
		b = l.unwrap(b)
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
	if name == Schwabdev && encrypted(d) {
		return Document{}, fmt.Errorf("%w: Schwabdev has encrypted its tokens; let it write them without encryption once, or log in instead", ErrUnreadable)
	}
	return d, nil
}

// Detect names the format of b, or says why it looks like none. A file of
// schwab-py is called [Schwab], which reads the same.
func Detect(b []byte) (name string, err error) {
	fields, wrong := parse(b)
	for _, l := range layouts() {
		if l.unwrap != nil && wrong != nil {
			if inner, err := parse(l.unwrap(b)); err == nil && l.detect(inner) {
				return l.name, nil
			}
		}
		if wrong == nil && l.detect(fields) {
			return l.name, nil
		}
	}
	if wrong == nil {
		wrong = errors.New("it has the keys of no known format")
	}
	return "", fmt.Errorf("%w: %w", ErrUnreadable, wrong)
}

// sqlite is what each database of SQLite begins with
// (https://www.sqlite.org/fileformat.html, 1.3.1).
const sqlite = "SQLite format 3\x00"

// parse reads one JSON object and nothing else.
func parse(b []byte) (object, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(b)) == 0 {
		return nil, errors.New("it is empty")
	}
	if bytes.HasPrefix(b, []byte(sqlite)) {
		return nil, errors.New("it is an SQLite database, as Schwabdev keeps since version 3; give what this prints instead: " +
			"sqlite3 -json tokens.db 'SELECT * FROM schwabdev'")
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
