package record_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

// plainRecord is one as most are.
func plainRecord() record.Record {
	r := recordtest.Whole()
	r.Before, r.Evidence, r.Candidate, r.Unknown = nil, nil, nil, nil
	r.Token.Scope = `a "quoted" \ <scope> é`
	r.Token.AccessToken = sdk.NewSecret(`ends with \`)
	r.GrantedTo.Person.Assumed = true
	return r
}

func plainDelivery() record.Delivery {
	at := recordtest.Golden().StoredAt
	return record.Delivery{
		Sink: "bot", Account: "saxo-live", Version: 42, At: at, Latency: 3 * time.Millisecond, Expiry: at.Add(20 * time.Minute), Shape: "0123456789abcdef", Consumer: "socket 1a-2b",
		Result: record.ResultFailed, TriedVersion: 43, TriedAt: at.Add(time.Minute), Error: "HTTP <503>", Failures: 2,
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	r, ok := v.(record.Record)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alike says why both ways in which a value is read do not give the same, and whether it
// is plain.
func alike[T any](t *testing.T, plain func([]byte) (T, bool), whatever func([]byte) (T, error), b []byte) (ok bool) {
	t.Helper()
	quick, ok := plain(b)
	if !ok {
		return false
	}
	if v, err := whatever(b); err != nil || !reflect.DeepEqual(v, quick) {
		t.Errorf("%q reads as %+v, and by encoding/json as %+v (%v)", b, quick, v, err)
	}
	return true
}

func alikeRecords(t *testing.T, b []byte) bool {
	t.Helper()
	return alike(t, record.ReadPlain, record.ReadAny, b)
}

func alikeDeliveries(t *testing.T, b []byte) bool {
	t.Helper()
	return alike(t, record.ReadPlainDelivery, record.ReadAnyDelivery, b)
}

// Most records, and lines of the ledger, are read without encoding/json.
func TestMostValuesArePlain(t *testing.T) {
	fresh := record.Record{Account: "main", Provider: "saxo"}.Next(recordtest.Token(1), record.OriginLogin, "a", recordtest.Golden().StoredAt)
	for _, r := range []record.Record{plainRecord(), fresh, fresh.Next(recordtest.Token(2), record.OriginRefresh, "b", fresh.StoredAt)} {
		if b := encoded(t, r); !alikeRecords(t, b) {
			t.Errorf("not plain: %s", b)
		}
	}
	for _, l := range []record.Delivery{plainDelivery(), {Sink: "bot", Account: "needs_login:main"}} {
		if b := encoded(t, l); !alikeDeliveries(t, b) {
			t.Errorf("not plain: %s", b)
		}
	}
}

// Every field is in what these tests read, so that none is left to encoding/json with all
// that has it.
func TestEachFieldIsPlain(t *testing.T) {
	for where, names := range record.PlainNames() {
		whole := any(plainRecord())
		if where == "ledger" {
			whole, where = plainDelivery(), ""
		}
		b := encoded(t, whole)
		for step := range strings.SplitSeq(where, "/") {
			var fields map[string]json.RawMessage
			if step != "" {
				if err := json.Unmarshal(b, &fields); err != nil {
					t.Fatal(err)
				}
				b = fields[step]
			}
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(b, &fields); err != nil || len(names) == 0 {
			t.Fatal(err)
		}
		for _, name := range names {
			if fields[name] == nil {
				t.Errorf("%q of %q is in nothing that is read here", name, where)
			}
		}
	}
	if !alikeRecords(t, encoded(t, plainRecord())) || !alikeDeliveries(t, encoded(t, plainDelivery())) {
		t.Error("they are not plain")
	}
}

// Whatever is changed in a value, it reads as by encoding/json, or is left to that.
func TestPlainIsNoOtherReading(t *testing.T) {
	for name, tt := range map[string]struct {
		whole []byte
		alike func(*testing.T, []byte) bool
	}{
		"record": {encoded(t, plainRecord()), alikeRecords},
		"ledger": {encoded(t, plainDelivery()), alikeDeliveries},
	} {
		t.Run(name, func(t *testing.T) {
			whole, alike := tt.whole, tt.alike
			step := 1
			if testing.Short() {
				step = 7 // under the race detector it takes a while
			}
			for at := 0; at < len(whole); at += step {
				for _, c := range []byte("\"\\{}[],:0-1. \nanTZ\xff\x01") {
					b := bytes.Clone(whole)
					b[at] = c
					alike(t, b)
					alike(t, slices.Insert(b, at, c))
				}
				alike(t, slices.Delete(bytes.Clone(whole), at, at+1))
				alike(t, whole[:at])
			}
			for at, c := range whole {
				for end := at + 1; c == ',' && end < len(whole); end++ {
					if whole[end] == ',' || whole[end] == '}' {
						alike(t, slices.Insert(bytes.Clone(whole), at, whole[at:end]...)) // said twice
						alike(t, slices.Delete(bytes.Clone(whole), at, end))
					}
				}
			}
		})
	}
}

// What one value has does not show in the next, though what they have alike is made once.
func TestDecoderKeepsValuesApart(t *testing.T) {
	var d record.Decoder
	for n := range 2000 {
		want := plainRecord()
		want.Account = fmt.Sprint("account-", n)
		want.Provider = fmt.Sprint("provider-", n%1500) // more than it keeps
		want.Token.Extra = map[string]string{"base_uri": strings.Repeat("x", n%40)}
		if n%3 == 0 {
			want.Token.Extra, want.Health, want.GrantedTo = nil, record.Health{}, record.GrantedTo{}
		}
		got, err := d.Record(want.Account, encoded(t, want))
		if err != nil {
			t.Fatal(err)
		}
		recordtest.CheckSame(t, got, want)
		line := plainDelivery()
		line.Account = want.Account
		if got, err := d.Delivery("bot", want.Account, encoded(t, line)); err != nil || got != line {
			t.Fatalf("%+v (%v), want %+v", got, err, line)
		}
		if _, err := d.Delivery("bot", "another", encoded(t, line)); err == nil {
			t.Fatal("a line of another account is taken")
		}
	}
}

// A line that is not plain, as a newer program may write it, is read all the same.
func TestDecoderReadsOtherLines(t *testing.T) {
	var d record.Decoder
	want := plainDelivery()
	plain := encoded(t, want)
	for name, b := range map[string][]byte{
		"with a name that is not known": slices.Insert(bytes.Clone(plain), len(plain)-1, []byte(`,"newer":"x"`)...),
		"with blanks":                   bytes.ReplaceAll(plain, []byte(`,"`), []byte(`, "`)),
	} {
		if got, err := d.Delivery(want.Sink, want.Account, b); err != nil || got != want {
			t.Errorf("%s: %+v (%v), want %+v", name, got, err, want)
		}
	}
}
