package gcpsecretmanager

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// document is a token on its way into the secret.
type document struct {
	settings
	content string
	// object is nil if the content is no JSON object (format: raw, env).
	object  members
	version uint64
	issued  time.Time
}

func newDocument(set settings, req sdk.DeliverRequest) (document, error) {
	d := document{settings: set, content: req.Content.Reveal(), version: req.Version, issued: req.Token.IssuedAt}
	if strings.TrimSpace(d.content) == "" {
		return d, fmt.Errorf("there is nothing to store for account %s", set.account)
	}
	if o, err := parseMembers([]byte(d.content)); err == nil {
		d.object = o
	}
	return d, nil
}

// errNewer: the secret's token is younger than the one to be delivered.
var errNewer = errors.New("a newer token is there, of another supervisor or from before this one's store was set back")

// merge lays the document over what the secret holds; existing is empty if it
// holds nothing. Its errors are [sdk.ErrRefused]: nothing is ever overwritten
// that can't be told from another program's, and nothing is written that the next
// delivery would have to leave alone: keys of the token beside those of others can
// look like another account's token.
func (d document) merge(existing []byte) ([]byte, error) {
	payload, err := d.place(existing)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", sdk.ErrRefused, d.settings, err)
	}
	if _, err := d.place(payload); err != nil {
		return nil, fmt.Errorf("%w: %s: with this token in it, no later one could be stored there: %w", sdk.ErrRefused, d.settings, err)
	}
	return payload, nil
}

func (d document) place(existing []byte) ([]byte, error) {
	if d.key != "" {
		return d.placeUnderKey(existing)
	}
	if len(bytes.TrimSpace(existing)) == 0 {
		return []byte(d.content), nil
	}
	old, err := parseMembers(existing)
	switch {
	case err == nil && d.object != nil:
		return d.over(old, strings.Contains(d.content, "\n"))
	case err == nil && d.keepUnknown:
		return nil, fmt.Errorf("it holds a JSON object, which the format of this sink would overwrite: "+
			"set %s so that the token gets a place in it, or %s: false", settingKey, settingKeepUnknown)
	case d.object != nil && d.keepUnknown:
		return nil, fmt.Errorf("it holds something that is no JSON object and may be another program's: "+
			"name another secret, or set %s: false to overwrite it", settingKeepUnknown)
	default:
		return []byte(d.content), nil
	}
}

// placeUnderKey keeps all other keys whatever the settings say: they are other
// accounts'.
func (d document) placeUnderKey(existing []byte) ([]byte, error) {
	old := members{}
	if len(bytes.TrimSpace(existing)) > 0 {
		var err error
		if old, err = parseMembers(existing); err != nil {
			return nil, fmt.Errorf("it holds something that is no JSON object, so nothing can stand under a %s: "+
				"name another secret", settingKey)
		}
	}
	if !utf8.ValidString(d.content) {
		return nil, errors.New("what the format of this sink makes of the token is no UTF-8, and can't stand in a JSON object")
	}
	value := quote(d.content)
	if d.object != nil {
		below, err := d.over(old.object(d.key), false)
		if err != nil {
			return nil, err
		}
		value = below
	}
	layout := existing
	if len(old) == 0 {
		layout = []byte(d.content)
	}
	return old.with(d.key, value).encode(bytes.Contains(bytes.TrimSpace(layout), []byte("\n"))), nil
}

// over lays the document's object over old, in old's order.
func (d document) over(old members, indented bool) ([]byte, error) {
	if err := d.supersedes(old); err != nil {
		return nil, err
	}
	merged, kept := members{}, false
	for _, o := range old {
		switch fresh := d.object.get(o.key); {
		case fresh != nil:
			merged = append(merged, member{o.key, fresh})
		case d.keepUnknown && !ofOneToken(old, o.key):
			merged, kept = append(merged, o), true
		}
	}
	if !kept {
		return []byte(d.content), nil
	}
	for _, f := range d.object {
		if old.at(f.key) < 0 {
			merged = append(merged, f)
		}
	}
	return merged.encode(indented), nil
}

// ofOneToken says whether a key tells of one token alone. Such a key does not
// outlive its token: an old refresh token beside a new access token is worse
// than none.
func ofOneToken(o members, key string) bool {
	return slices.Contains([]string{"access_token", "refresh_token", "id_token", "token_expiry", "expires_at", "expires",
		"expires_in", "issued_at", "refresh_expires_at"}, key) ||
		ownLayout(o) && slices.Contains([]string{"version", "login_uncertain"}, key)
}

// ownLayout says whether o is of Tokenkeeper's own format (json). Only then
// are "account" and "version" what they are called there, and not some other
// program's.
func ownLayout(o members) bool {
	return o.text("account") != "" && o.text("provider") != "" && o.get("version") != nil
}

// supersedes says whether the document may stand where old stands. What is
// there counts as newer only if nothing speaks against it: a store that was
// set up anew begins with low versions again, and a clock can be set back.
func (d document) supersedes(old members) error {
	var newer, older bool
	compare := func(order int) { newer, older = newer || order > 0, older || order < 0 }
	if ownLayout(old) {
		if owner := old.text("account"); owner != d.account {
			return errShared(owner)
		}
		var version uint64
		if json.Unmarshal(old.get("version"), &version) == nil {
			compare(cmp.Compare(version, d.version))
		}
	}
	if issued := issuedAt(old); !issued.IsZero() && !d.issued.IsZero() {
		compare(issued.Compare(d.issued.Truncate(time.Second)))
	}
	if newer && !older {
		return errNewer
	}
	return nil
}

// issuedAt is when the stored token was issued, as far as the layout tells.
func issuedAt(o members) time.Time {
	if ownLayout(o) {
		t, _ := time.Parse(time.RFC3339, o.text("issued_at"))
		return t
	}
	// The layout of Schwab's programs.
	token := o.object("token")
	var end, lifetime int64
	if json.Unmarshal(token.get("expires_at"), &end) != nil || json.Unmarshal(token.get("expires_in"), &lifetime) != nil {
		return time.Time{}
	}
	return time.Unix(end-lifetime, 0)
}

// extract is placing backwards: what the secret holds of the account.
func extract(set settings, account string, payload []byte) (string, error) {
	content := string(payload)
	if set.key != "" {
		all, err := parseMembers(payload)
		if err != nil {
			return "", notStored(set, "its newest version is no JSON object")
		}
		value := all.get(set.key)
		content = string(value)
		if text := all.text(set.key); text != "" {
			content = text
		}
		if len(value) == 0 || string(value) == "null" || string(value) == `""` {
			return "", notStored(set, "its newest version has nothing under the key "+set.key)
		}
	}
	if strings.TrimSpace(content) == "" {
		return "", notStored(set, "its newest version is empty")
	}
	if o, err := parseMembers([]byte(content)); err == nil && ownLayout(o) && o.text("account") != account {
		return "", notStored(set, "its token is of account "+o.text("account"))
	}
	return content, nil
}

// same says whether two payloads mean the same.
func same(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	x, errA := decode(a)
	y, errB := decode(b)
	return errA == nil && errB == nil && reflect.DeepEqual(x, y)
}

func decode(b []byte) (v any, err error) {
	if _, err := parseMembers(b); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}
