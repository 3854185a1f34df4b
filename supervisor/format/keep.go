package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Keeps says whether [Keep] keeps anything of a file in the named format: one
// that is a JSON object.
func Keeps(name string) bool { return slices.Contains(Names(), name) || name == MessageName }

// Keep is [Encode] for a file that is replaced and in which others may have put
// something of theirs. existing is the file's content; if it is no JSON object,
// nothing of it stays. What stays of it, after what is written, are the keys
// that the format does not know, at each level that it does. A key that it does
// know and that d leaves out goes, and so does a token that another format of
// ours has left behind. What [keepsLogin] says stays too.
//
// [Merge] is for files that others write too: it keeps more.
func Keep(name string, existing []byte, d Document, o Options) ([]byte, error) {
	fresh, err := Encode(name, keepsLogin(name, existing, d, o), o)
	if err != nil || !Keeps(name) {
		return fresh, err
	}
	old, err := parseMembers(existing)
	if err != nil {
		return fresh, nil
	}
	written, err := parseMembers(fresh)
	if err != nil {
		return nil, fmt.Errorf("format %s: what was written can't be read: %w", name, err)
	}
	known, err := knownTo(name)
	if err != nil {
		return nil, err
	}
	all := keep(old, written, known, strays(old), "")
	if len(all) == len(written) && bytes.Equal(all.compact(), written.compact()) {
		return fresh, nil
	}
	l := layout{}
	if name != MessageName {
		if l, err = writable(name); err != nil {
			return nil, err
		}
	}
	return write(all, written, look(fresh, l, Options{}))
}

// keep is fresh with what of old is neither known nor a stray; prefix is the path
// of this level, with a dot at its end.
func keep(old, fresh, known members, strays []string, prefix string) members {
	all := slices.Clone(fresh)
	for _, m := range old {
		path := prefix + m.key
		inner, isObject := below(m.value)
		shape, isKnown := known.get(m.key)
		if nested, ok := below(shape); ok && isObject {
			wrote, _ := fresh.get(m.key)
			into, _ := below(wrote)
			set(&all, m.key, keep(inner, into, nested, strays, path+"."), wrote != nil)
			continue
		}
		switch {
		case isKnown, slices.Contains(strays, path):
		case isObject && slices.ContainsFunc(strays, func(s string) bool { return strings.HasPrefix(s, path+".") }):
			set(&all, m.key, keep(inner, nil, nil, strays, path+"."), false)
		default:
			all = append(all, m)
		}
	}
	return all
}

// below reads a value that is an object.
func below(value json.RawMessage) (members, bool) {
	m, err := parseMembers(value)
	return m, err == nil
}

// set puts an object into all, in place of the one that is there. One that has
// become empty is left out.
func set(all *members, key string, object members, there bool) {
	if len(object) == 0 {
		return
	}
	for i := range *all {
		if there && (*all)[i].key == key {
			(*all)[i].value = object.compact()
			return
		}
	}
	*all = append(*all, member{key, object.compact()})
}

// knownTo are all keys that a format writes, each with what it may hold. An
// object of which the broker names the keys counts as one value.
func knownTo(name string) (members, error) {
	at := time.Unix(1e9, 0)
	s := sdk.NewSecret("-")
	b, err := Encode(name, Document{
		Account: "-", Provider: "-", Version: 1, AccessToken: s, RefreshToken: s, IDToken: s, TokenType: "-", Scope: "-",
		Extra: map[string]string{"-": "-"}, IssuedAt: at, Expiry: at.Add(time.Hour), LoginAt: at, LoginUncertain: true,
		RefreshExpiry: at.Add(time.Hour), ClientID: "-", ClientSecret: s,
	}, Options{})
	if err != nil {
		return nil, err
	}
	known, err := parseMembers(b)
	for i := range known {
		if known[i].key == "extra" {
			known[i].value = json.RawMessage(`""`)
		}
	}
	return known, err
}

// strays are the paths at which a format may have put a secret of ours into the
// file that old is, before the sink was given another format.
func strays(old members) []string {
	var all []string
	for _, at := range []string{"", "token.", "token_dictionary."} {
		all = append(all, at+"access_token", at+"refresh_token", at+"id_token")
	}
	if _, saxo := old.get("token_expiry"); saxo {
		all = append(all, "app_secret")
	}
	return all
}
