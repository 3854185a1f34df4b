package record_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/record/recordtest"
)

func found(name string) sdk.Token {
	return sdk.Token{AccessToken: sdk.NewSecret(name), RefreshToken: sdk.NewSecret(name), IssuedAt: recordtest.Golden().StoredAt, Lifetime: time.Hour}
}

// What a found version can be gone back to is stored, newest first.
func TestChainIsStored(t *testing.T) {
	for n := range 4 {
		r := recordtest.Golden()
		r.Origin = record.OriginExternal
		for i := range n {
			r.Before = append(r.Before, record.Before{Token: found(fmt.Sprint("before-", i)), LoginAt: r.LoginAt, RefreshExpiry: r.RefreshExpiry, FoundIn: fmt.Sprint("place-", i), GrantedTo: record.GrantedTo{Client: fmt.Sprint("client-", i)}})
		}
		b, err := record.Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := new(record.Decoder).Record(r.Account, b)
		if err != nil || !reflect.DeepEqual(back.Before, r.Before) {
			t.Errorf("%d: came back as %d, %v", n, len(back.Before), err)
		}
	}
}

// Where a version was found is stored, is of that version alone, and goes with it
// into what the next one can be gone back to.
func TestFoundInIsStored(t *testing.T) {
	r := recordtest.Golden()
	r.Origin, r.FoundIn = record.OriginExternal, "the file"
	b, err := record.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := new(record.Decoder).Record(r.Account, b); err != nil || back.FoundIn != "the file" {
		t.Errorf("came back as %q, %v", back.FoundIn, err)
	}
	next := r.Next(found("next"), record.OriginExternal, "", r.StoredAt)
	if next.FoundIn != "" {
		t.Errorf("the next version was found in %q", next.FoundIn)
	}
	if chain := r.Unproven(next.Token); len(chain) != 1 || chain[0].FoundIn != "the file" {
		t.Errorf("before it: %+v", chain)
	}
}

func TestUnproven(t *testing.T) {
	names := func(chain []record.Before) (names []string) {
		for _, b := range chain {
			names = append(names, b.Token.RefreshToken.Reveal())
		}
		return names
	}
	adopt := func(r record.Record, name string) record.Record {
		n := r.Next(found(name), record.OriginExternal, "", time.Now())
		n.Before = r.Unproven(n.Token)
		return n
	}
	proven := record.Record{Account: "main"}.Next(found("p"), record.OriginRefresh, "a", time.Now())
	x := adopt(proven, "x")
	refused := adopt(x, "w")
	refused.Health.NeedsLogin = found("w").RefreshToken.Fingerprint()
	long := proven
	for i := range 9 {
		long = adopt(long, fmt.Sprint("n", i))
	}
	older := x
	older.Origin = record.OriginRefresh // an older program has left what it did not know
	for name, c := range map[string]struct {
		r    record.Record
		next string
		want []string
	}{
		"nothing":                      {record.Record{}, "x", nil},
		"proven":                       {proven, "x", []string{"p"}},
		"unproven":                     {x, "w", []string{"x", "p"}},
		"the same with another access": {proven, "p", nil},
		"of two the first again":       {adopt(x, "w"), "x", []string{"w", "p"}},
		"refused":                      {refused, "y", []string{"x", "p"}},
		"many":                         {long, "y", []string{"n8", "n7", "n6", "n5", "p"}},
		"over":                         {older, "y", []string{"x"}},
	} {
		if got := names(c.r.Unproven(found(c.next))); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
