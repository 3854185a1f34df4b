package gcpsecretmanager

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// FuzzMerge: whatever a secret holds, a delivery leaves a payload that has
// every key of the token, keeps the keys of others, does not change when it is
// made again, and can be given back.
func FuzzMerge(f *testing.F) {
	f.Add([]byte(`{"a":1,"access_token":"old"}`), `{"access_token":"new"}`, "")
	f.Add([]byte(`{"a":{"b":[1.50,"\u00e9"]}}`), `{"access_token":"new","a":null}`, "k")
	f.Add([]byte(`{"a":1,"a":2}`), "raw", "a")
	f.Add([]byte("\xef\xbb\xbf{}"), "{}", "")
	f.Add([]byte(`{"account":"x","provider":"y","version":3}`), `{"version":1}`, "")
	f.Add([]byte(`{"account":"x","provider":"y","ver~ion":3}`), `{"version":1}`, "")
	f.Add([]byte("{}"), `{"account":"x","provider":"y","version":3}`, "")
	f.Add([]byte("{}"), "\x80", "k")
	f.Fuzz(func(t *testing.T, existing []byte, content, key string) {
		set := settings{secret: "s", project: "p", account: "a", key: key, keepUnknown: true}
		d, err := newDocument(set, sdk.DeliverRequest{Version: 1, Content: sdk.NewSecret(content)})
		if err != nil {
			return
		}
		payload, err := d.merge(existing)
		if err != nil {
			return
		}
		again, err := d.merge(payload)
		if err != nil || !same(again, payload) {
			t.Fatalf("made again: %q becomes %q (%v)", payload, again, err)
		}
		old, errOld := parseMembers(existing)
		if now, err := parseMembers(payload); err == nil && errOld == nil {
			for _, m := range old {
				if key == "" && (d.object.at(m.key) >= 0 || ofOneToken(old, m.key)) || m.key == key {
					continue
				}
				if !equalJSON(now.get(m.key), m.value) {
					t.Fatalf("key %q was %q and is %q", m.key, m.value, now.get(m.key))
				}
			}
		}
		back, err := extract(set, "a", payload)
		if err != nil {
			return // another account's, or nothing
		}
		if o, err := parseMembers([]byte(back)); err == nil {
			for _, m := range d.object {
				if !equalJSON(o.get(m.key), m.value) {
					t.Fatalf("%q of the token is %q in what is given back", m.key, o.get(m.key))
				}
			}
		} else if back != content {
			t.Fatalf("given back: %q of %q", back, content)
		}
	})
}

func equalJSON(a, b json.RawMessage) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
