package lineage_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/lineage"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

const life = 20 * time.Minute

// came is when ours came, and now ten minutes later.
var (
	came = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	now  = came.Add(10 * time.Minute)
)

// ours is an account whose token the broker has given it at came.
func ours() lineage.Ours {
	return lineage.Ours{
		Account: "one", Provider: "saxo", ClientID: "key", Policy: sdk.Policy{AccessLifetime: life},
		Record: store.Record{
			Account: "one", Provider: "saxo", Version: 3, Origin: store.OriginRefresh, StoredAt: came,
			Token:        sdk.Token{AccessToken: sdk.NewSecret("a3"), RefreshToken: sdk.NewSecret("r3"), IssuedAt: came, Lifetime: life},
			Fingerprints: []string{sdk.NewSecret("r2").Fingerprint(), sdk.NewSecret("r1").Fingerprint()},
		},
		Owner: func(fingerprint string) string {
			if fingerprint == sdk.NewSecret("two's").Fingerprint() {
				return "two"
			}
			return ""
		},
	}
}

// unknown is a token that nobody here knows, from five minutes after ours, in a
// place that was written then.
func unknown() lineage.Found {
	at := came.Add(5 * time.Minute)
	return lineage.Found{Document: format.Document{
		AccessToken: sdk.NewSecret("aX"), RefreshToken: sdk.NewSecret("rX"), IssuedAt: at, Expiry: at.Add(life), WrittenAt: at,
	}}
}

// The table of the README.
func TestJudge(t *testing.T) {
	type world struct {
		lineage.Ours
		lineage.Found
	}
	none := func(w *world) { w.Record = store.Record{} }
	left := func(w *world) { w.Left = func(string) string { return "old" } }
	token := func(w *world, refresh string) { w.Document.RefreshToken = sdk.NewSecret(refresh) }
	several := func(all ...string) func(*world) {
		return func(w *world) {
			w.Found.Document, w.Rest = format.Document{WrittenAt: came.Add(time.Minute)}, true
			for _, one := range all {
				w.Document.Several = append(w.Document.Several, sdk.NewSecret(one))
			}
		}
	}
	dead := func(w *world) { w.Record.Health.NeedsLogin = sdk.NewSecret("r3").Fingerprint() }
	earlier := func(w *world) { w.Document.Expiry, w.Document.IssuedAt = came.Add(life-5*time.Minute), time.Time{} }
	endless := func(w *world) { w.Document.Expiry, w.Document.IssuedAt = time.Time{}, time.Time{} }
	untold := func(w *world) { w.Document.WrittenAt = time.Time{} }
	imported := func(w *world) { w.Record.Origin = store.OriginImport }
	wrote := func(w *world) { w.Wrote = came.Add(6 * time.Minute) }
	free := func(w *world) { w.Free = came.Add(7 * time.Minute) }
	loggedIn := func(w *world) {
		w.Record.StoredAt, w.Record.Token.IssuedAt = came.Add(8*time.Minute), came.Add(8*time.Minute)
	}
	for name, c := range map[string]struct {
		change []func(*world)
		want   lineage.Verdict
	}{
		"unknown, ends later, written after ours came": {nil, lineage.Newer},
		"no refresh token":                        {[]func(*world){func(w *world) { token(w, "") }}, lineage.Silent},
		"hidden, written after ours came":         {[]func(*world){func(w *world) { w.Found.Document = format.Document{WrittenAt: came.Add(time.Minute)}; w.Hidden = true }}, lineage.Doubtful},
		"hidden, as we left it":                   {[]func(*world){func(w *world) { w.Found.Document = format.Document{WrittenAt: came.Add(time.Minute)}; w.Hidden = true }, wrote}, lineage.Silent},
		"several, one of them is not known":       {[]func(*world){several("r3", "rX")}, lineage.Doubtful},
		"several, in a file as we left it":        {[]func(*world){several("rX", "r1", "rY"), wrote}, lineage.Unknown},
		"several, and we have none":               {[]func(*world){several("rX", "rY"), none}, lineage.Doubtful},
		"several, and ours is dead":               {[]func(*world){several("rX", "r3"), dead}, lineage.Doubtful},
		"several, one of them another account's":  {[]func(*world){several("r3", "two's")}, lineage.Unknown},
		"several, all of them known":              {[]func(*world){several("r3", "r1")}, lineage.Past},
		"several, before the broker gave us ours": {[]func(*world){several("r1", "rX"), func(w *world) { w.Document.WrittenAt = came.Add(-time.Minute) }}, lineage.Outlived},
		"ours":                                                {[]func(*world){func(w *world) { token(w, "r3"); w.Document.AccessToken = sdk.NewSecret("a3") }}, lineage.Same},
		"ours, with a younger access token":                   {[]func(*world){func(w *world) { token(w, "r3") }}, lineage.Renewed},
		"ours, with an older one":                             {[]func(*world){func(w *world) { token(w, "r3") }, earlier}, lineage.Stale},
		"ours, without an access token":                       {[]func(*world){func(w *world) { token(w, "r3"); w.Document.AccessToken = sdk.Secret{} }}, lineage.Stale},
		"ours, with one of which nobody knows the end":        {[]func(*world){func(w *world) { token(w, "r3") }, endless}, lineage.Renewed},
		"the same, in a file from before":                     {[]func(*world){func(w *world) { token(w, "r3"); w.Document.WrittenAt = came.Add(-time.Hour) }, endless}, lineage.Stale},
		"ours, which the broker has refused":                  {[]func(*world){func(w *world) { token(w, "r3") }, dead}, lineage.Refused},
		"past, whatever its times say":                        {[]func(*world){func(w *world) { token(w, "r1") }}, lineage.Past},
		"past, and ours is dead":                              {[]func(*world){func(w *world) { token(w, "r1") }, dead}, lineage.Past},
		"another account's, present or past":                  {[]func(*world){func(w *world) { token(w, "two's") }}, lineage.OtherAccount},
		"another account's, and ours is dead":                 {[]func(*world){func(w *world) { token(w, "two's") }, dead}, lineage.OtherAccount},
		"another account's, and we have none":                 {[]func(*world){func(w *world) { token(w, "two's"); w.Record = store.Record{} }}, lineage.OtherAccount},
		"one's of no configuration, and we have none":         {[]func(*world){none, left}, lineage.OtherAccount},
		"one's of no configuration, by its name too":          {[]func(*world){none, left, func(w *world) { w.Document.Account = "old" }}, lineage.OtherAccount},
		"one's of no configuration, and we have one":          {[]func(*world){left}, lineage.Newer},
		"another account's by its name":                       {[]func(*world){func(w *world) { w.Document.Account = "two" }}, lineage.OtherAccount},
		"another provider's":                                  {[]func(*world){func(w *world) { w.Document.Provider = "schwab" }}, lineage.OtherAccount},
		"another app's":                                       {[]func(*world){func(w *world) { w.Document.ClientID = "their key" }}, lineage.OtherApp},
		"its login is over":                                   {[]func(*world){func(w *world) { w.Document.RefreshExpiry = now }}, lineage.Ended},
		"the same, in a place that was written after its end": {[]func(*world){func(w *world) { w.Document.RefreshExpiry = came }}, lineage.Newer},
		"the same, of a place that tells no time":             {[]func(*world){untold, func(w *world) { w.Document.RefreshExpiry = came }}, lineage.Newer},
		"written while ours waited in the spool":              {[]func(*world){func(w *world) { w.Record.StoredAt = now }}, lineage.Newer},
		"we have none":                                        {[]func(*world){func(w *world) { w.Record = store.Record{} }, earlier}, lineage.Newer},
		"ours is dead, and nothing else speaks for it":        {[]func(*world){dead, earlier, func(w *world) { w.Document.WrittenAt = came.Add(-time.Hour) }}, lineage.Newer},
		"written before the broker gave us ours":              {[]func(*world){earlier, func(w *world) { w.Document.WrittenAt = came.Add(-time.Minute) }}, lineage.Outlived},
		"the same, by a clock that its own end contradicts":   {[]func(*world){func(w *world) { w.Document.WrittenAt = came.Add(-time.Minute) }}, lineage.Newer},
		"the same within what a file system's clock lags":     {[]func(*world){func(w *world) { w.Document.WrittenAt = came.Add(-time.Second / 2) }}, lineage.Newer},
		"the same, but ours was imported":                     {[]func(*world){imported, func(w *world) { w.Document.WrittenAt = came.Add(-time.Minute) }}, lineage.Newer},
		"the same, and it ends earlier":                       {[]func(*world){imported, earlier, func(w *world) { w.Document.WrittenAt = came.Add(-time.Minute) }}, lineage.Unknown},
		"ends later, of a place that tells no time":           {[]func(*world){untold}, lineage.Newer},
		"ends later, not written since we did":                {[]func(*world){wrote}, lineage.Doubtful},
		"ends earlier, written after":                         {[]func(*world){earlier}, lineage.Doubtful},
		"the same, and nobody knows whether ours was used up": {[]func(*world){earlier, func(w *world) { w.Open = true }}, lineage.Newer},
		"ends earlier by a local time, written after":         {[]func(*world){earlier, func(w *world) { w.Document.Naive = true }}, lineage.Newer},
		"ends earlier by a local time, by more than the hour": {[]func(*world){func(w *world) {
			w.Document.Expiry, w.Document.IssuedAt, w.Document.Naive = came.Add(life-2*time.Hour), time.Time{}, true
		}}, lineage.Doubtful},
		"ends earlier, of a place that tells no time":           {[]func(*world){earlier, untold}, lineage.Doubtful},
		"ends earlier, not written since we did":                {[]func(*world){earlier, wrote}, lineage.Unknown},
		"its end is not known, written after":                   {[]func(*world){endless}, lineage.Newer},
		"its end is not known, of a place that tells no time":   {[]func(*world){endless, untold}, lineage.Doubtful},
		"its end is not known, not written since we did":        {[]func(*world){endless, wrote}, lineage.Unknown},
		"the name was free since, and we have none":             {[]func(*world){none, free}, lineage.Doubtful},
		"the same, put there afterwards":                        {[]func(*world){none, func(w *world) { w.Free = came }}, lineage.Newer},
		"the same, moved there afterwards":                      {[]func(*world){none, func(w *world) { w.Free = came; w.Document.IssuedAt = came.Add(-life) }}, lineage.Doubtful},
		"the same, and nobody knows when":                       {[]func(*world){none, free, endless, untold}, lineage.Doubtful},
		"the name was free since, and ours is dead":             {[]func(*world){dead, free}, lineage.Doubtful},
		"the name was free since, and ours is of before":        {[]func(*world){free}, lineage.Doubtful},
		"the name was free since, and a login gave us ours":     {[]func(*world){free, loggedIn, func(w *world) { w.Document.Naive = true }}, lineage.Outlived},
		"our clock was set back since ours came":                {[]func(*world){func(w *world) { w.Record.StoredAt, w.Record.Token.IssuedAt = now.Add(time.Hour), now.Add(time.Hour) }}, lineage.Doubtful},
		"our clock was set back since we have written there":    {[]func(*world){earlier, func(w *world) { w.Wrote = now.Add(time.Hour) }}, lineage.Doubtful},
		"an end of far away is cut to what such tokens live":    {[]func(*world){func(w *world) { w.Document.Expiry = now.AddDate(50, 0, 0); w.Document.IssuedAt = came.Add(-life) }}, lineage.Doubtful},
		"an end that no token has, and that counts for nothing": {[]func(*world){untold, func(w *world) { w.Document.Expiry = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }}, lineage.Doubtful},
	} {
		w := world{ours(), unknown()}
		for _, change := range c.change {
			change(&w)
		}
		if j := w.Judge(w.Found, now); j.Verdict != c.want {
			t.Errorf("%s: verdict %d, want %d", name, j.Verdict, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	for want, change := range map[string]func(*lineage.Found){
		"the file of account one holds a refresh token of account two":     func(f *lineage.Found) { f.Document.RefreshToken = sdk.NewSecret("two's") },
		"a token of another app (its key begins with thei":                 func(f *lineage.Found) { f.Document.ClientID = "their key" },
		"its access token ends 5m0s after ours":                            func(*lineage.Found) {},
		"the file was written before our token came, 2026-03-01T11:00:00Z": func(f *lineage.Found) { f.Document.WrittenAt = came.Add(-time.Hour) },
		"the file was written after our token came":                        func(*lineage.Found) {},
		"the file holds 2 refresh tokens, and not all of them are": func(f *lineage.Found) {
			f.Document.RefreshToken, f.Document.Several = sdk.Secret{}, []sdk.Secret{sdk.NewSecret("rX"), sdk.NewSecret("rY")}
		},
		"died 2026-03-01T12:00:00Z": func(f *lineage.Found) { f.Document.RefreshExpiry, f.Document.WrittenAt = came, came },
	} {
		o, f := ours(), unknown()
		change(&f)
		if got := o.Words("the file", f, o.Judge(f, now), now); !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	o, f := ours(), unknown()
	o.Record, o.Left = store.Record{}, func(string) string { return "old" }
	j := o.Judge(f, now)
	if got := o.Words("the file", f, j, now); got != "the file of account one holds a refresh token of account old, which is in the store and in no configuration, and was perhaps renamed" {
		t.Error(got)
	}
	if got := j.Renamed("one"); got != "if it was renamed to one: tokenkeeper accounts rename old one; if it is to go: tokenkeeper accounts forget old" {
		t.Error(got)
	}
}

// anyTime is near now, impossible, or not known.
func anyTime(t *rapid.T, label string) time.Time {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) time.Time {
			return came.Add(time.Duration(rapid.IntRange(-7200, 7200).Draw(t, "s")) * time.Second)
		}),
		rapid.SampledFrom([]time.Time{{}, time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0), now.AddDate(300, 0, 0), time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)}),
	).Draw(t, label)
}

// anyWorld is any account, and anything that can be found of it.
func anyWorld(t *rapid.T) (lineage.Ours, lineage.Found) {
	o := ours()
	r := &o.Record
	if rapid.IntRange(0, 9).Draw(t, "none") == 0 {
		*r = store.Record{}
	}
	r.Origin = rapid.SampledFrom([]store.Origin{store.OriginRefresh, store.OriginLogin, store.OriginImport, store.OriginExternal, store.OriginRestore}).Draw(t, "origin")
	r.StoredAt, r.Token.IssuedAt = anyTime(t, "stored"), anyTime(t, "issued")
	r.Token.Lifetime = time.Duration(rapid.SampledFrom([]int64{0, int64(life), 1, -1, 1<<63 - 1, -1 << 63}).Draw(t, "life"))
	if rapid.Bool().Draw(t, "refused") {
		r.Health.NeedsLogin = r.Token.RefreshToken.Fingerprint()
	}
	o.Open = rapid.Bool().Draw(t, "open")
	o.Policy.AccessLifetime = rapid.SampledFrom([]time.Duration{0, life, 1<<63 - 1}).Draw(t, "policy")
	secret := func(label string, of ...string) sdk.Secret {
		return sdk.NewSecret(rapid.SampledFrom(of).Draw(t, label))
	}
	return o, lineage.Found{
		Wrote: anyTime(t, "wrote"), Hidden: rapid.Bool().Draw(t, "hidden"),
		Document: format.Document{
			RefreshToken: secret("refresh", "", "r1", "r2", "r3", "rX", "two's"), AccessToken: secret("access", "", "a3", "aX"),
			IssuedAt: anyTime(t, "theirs issued"), Expiry: anyTime(t, "expiry"), WrittenAt: anyTime(t, "written"), RefreshExpiry: anyTime(t, "refresh expiry"),
			Lifetime: time.Duration(rapid.SampledFrom([]int64{0, int64(life), -1, 1<<63 - 1, -1 << 63}).Draw(t, "lifetime")),
			Naive:    rapid.Bool().Draw(t, "naive"),
		},
	}
}

// What is known decides, whatever the times say; and what is not whole, or
// another account's, is never used.
func TestNeverNewer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, f := anyWorld(t)
		d, has := f.Document, o.Record.Version > 0
		v := o.Judge(f, now).Verdict
		switch refresh := d.RefreshToken.Reveal(); {
		case has && (refresh == "r1" || refresh == "r2") && v != lineage.Past,
			refresh == "two's" && v != lineage.OtherAccount,
			refresh == "" && v.Newer(),
			has && refresh == "r3" && (v == lineage.Newer || !v.Known()),
			has && refresh == "r3" && o.Record.NeedsLogin() && v != lineage.Refused:
			t.Fatalf("%q has verdict %d", refresh, v)
		}
		if v == lineage.Outlived && (!moment.Sane(o.Record.StoredAt) || !o.Record.StoredAt.After(d.WrittenAt)) {
			t.Fatal("outlived, by no time")
		}
	})
}

// A time that can't be counts for as much as none.
func TestNoVerdictDependsOnAnInsaneTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, f := anyWorld(t)
		was := o.Judge(f, now)
		d := &f.Document
		for _, at := range []*time.Time{&o.Record.StoredAt, &o.Record.Token.IssuedAt, &f.Wrote, &d.IssuedAt, &d.Expiry, &d.WrittenAt, &d.RefreshExpiry} {
			*at = moment.Known(*at)
		}
		for _, at := range []*time.Time{&o.Record.StoredAt, &d.IssuedAt, &d.WrittenAt} { // of the past by their nature
			if at.After(now.Add(time.Minute)) {
				*at = time.Time{}
			}
		}
		if is := o.Judge(f, now); is != was {
			t.Fatalf("verdict %v, and %v without the times that can't be", was, is)
		}
		_ = o.Words("it", f, was, now)
	})
}

// Two that do not know each other are not both the newer one; and what we wrote
// ourselves is ours.
func TestNewerIsAntisymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, _ := anyWorld(t)
		_, f := anyWorld(t)
		o.Open, o.Record.Health = false, store.Health{}
		if o.Record.Version == 0 {
			t.Skip("nothing to compare with")
		}
		d := &f.Document
		d.RefreshToken, d.AccessToken, d.Naive = sdk.NewSecret("rX"), sdk.NewSecret("aX"), false
		d.WrittenAt, d.RefreshExpiry = time.Time{}, time.Time{} // times of places are no property of a token
		there := lineage.TokenOf(*d, o.Policy, now).Token
		theirs := lineage.Ours{Account: "one", Provider: "saxo", Policy: o.Policy, Record: store.Record{Version: 1, StoredAt: o.Record.StoredAt, Token: there}}
		mine := lineage.Found{Document: o.Record.Document()}
		if o.Judge(f, now).Verdict.Newer() && theirs.Judge(mine, now).Verdict.Newer() {
			t.Fatal("each is newer than the other")
		}
		if v := o.Judge(mine, now).Verdict; v != lineage.Same {
			t.Fatalf("our own record has verdict %d", v)
		}
	})
}
