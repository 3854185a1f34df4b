package record_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/record/recordtest"
)

// plainRecord is one as most are.
func plainRecord() record.Record {
	r := recordtest.Whole()
	r.FoundIn, r.Before, r.Evidence, r.Candidate, r.Unknown = "", nil, nil, nil, nil
	r.Token.Scope = `a "quoted" \ <scope> é`
	r.Token.AccessToken = sdk.NewSecret(`ends with \`)
	return r
}

// alike says why both ways in which a record is read do not give the same.
func alike(t *testing.T, b []byte) {
	t.Helper()
	plain, ok := record.ReadPlain(b)
	if !ok {
		return
	}
	if r, err := record.ReadAny(b); err != nil || !reflect.DeepEqual(r, plain) {
		t.Errorf("%q reads as %+v, and by encoding/json as %+v (%v)", b, plain, r, err)
	}
}

// Most records are read without encoding/json.
func TestMostRecordsArePlain(t *testing.T) {
	fresh := record.Record{Account: "main", Provider: "saxo"}.Next(recordtest.Token(1), record.OriginLogin, "a", recordtest.Golden().StoredAt)
	for _, r := range []record.Record{plainRecord(), fresh, fresh.Next(recordtest.Token(2), record.OriginRefresh, "b", fresh.StoredAt)} {
		b, err := record.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := record.ReadPlain(b); !ok {
			t.Errorf("not plain: %s", b)
		}
		alike(t, b)
	}
}

// Whatever is changed in a record, it reads as by encoding/json, or is left to that.
func TestPlainIsNoOtherReading(t *testing.T) {
	whole, err := record.Encode(plainRecord())
	if err != nil {
		t.Fatal(err)
	}
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
}
