package record_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

func TestDecode(t *testing.T) {
	whole, err := record.Encode(recordtest.Golden())
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name     string
		old, new string
	}{
		{"another account", `"saxo-live"`, `"saxo-sim"`},
		{"version zero", `"version":42`, `"version":0`},
		{"wrong kind", `"refresh_token":"refresh token"`, `"refresh_token":["SECRET"]`},
		{"bad duration", `"20m0s"`, `"SECRET"`},
		{"not JSON", `{"account"`, `SECRET{"account"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := strings.Replace(string(whole), tt.old, tt.new, 1)
			if b == string(whole) {
				t.Fatalf("%s is not in the record", tt.old)
			}
			_, err := new(record.Decoder).Record("saxo-live", []byte(b))
			if err == nil || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("there must be an error that tells no content: %v", err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := record.Encode(recordtest.Golden())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add([]byte(`{"account":"saxo-live","version":1,"VERSION":2,"token":{},"x":null}`))
	f.Add([]byte(`{"account":"saxo-live","version":1,"token":{"private":{"a":""},"lifetime":"-1ns"}}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		alikeRecords(t, b)
		r, err := new(record.Decoder).Record("saxo-live", b)
		if err != nil {
			return
		}
		// What was read can be stored again, and nothing gets lost by it.
		again, err := record.Encode(r)
		if err != nil {
			t.Fatalf("%q can't be stored again: %v", b, err)
		}
		back, err := new(record.Decoder).Record("saxo-live", again)
		if err != nil {
			t.Fatalf("%q was stored as %q: %v", b, again, err)
		}
		recordtest.CheckSame(t, back, r)
		if len(back.Unknown) != len(r.Unknown) || !back.Token.RefreshToken.Equal(r.Token.RefreshToken) {
			t.Errorf("%q lost something as %q", b, again)
		}
	})
}

// TestGrantedToIsStored: whom a token was granted to outlives the process, and
// a record that does not know it reads as such.
func TestGrantedToIsStored(t *testing.T) {
	for _, g := range []record.GrantedTo{{}, {Client: "0011223344556677"}, {Client: "0011223344556677", Environment: "live", TokenHost: "one.example"}} {
		r := recordtest.Golden()
		r.GrantedTo = g
		b, err := record.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := new(record.Decoder).Record(r.Account, b)
		if err != nil || back.GrantedTo != g {
			t.Errorf("%+v came back as %+v, %v", g, back.GrantedTo, err)
		}
		if bytes.Contains(b, []byte("granted_to")) != (g != record.GrantedTo{}) {
			t.Errorf("stored as %s", b)
		}
	}
}
