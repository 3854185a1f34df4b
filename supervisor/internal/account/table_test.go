package account

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

var update = flag.Bool("update", false, "write the table in README.md anew")

var (
	now   = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	begun = now.Add(-time.Second)
	terms = Terms{Timeout: 30 * time.Second}
	stays = Terms{Timeout: 30 * time.Second, Stays: true}
)

// record has a refresh token of that name.
func record(version uint64, refreshToken string) store.Record {
	return store.Record{
		Account: "main", Version: version, Origin: store.OriginRefresh,
		Token: sdk.Token{
			AccessToken: sdk.NewSecret("access"), RefreshToken: sdk.NewSecret(refreshToken),
			IssuedAt: begun, Lifetime: time.Hour,
		},
	}
}

func found(version uint64, refreshToken string, before store.Record) store.Record {
	rec := record(version, refreshToken)
	rec.Origin = store.OriginExternal
	rec.Before = before.Unproven(rec.Token)
	return rec
}

// ofWay has a refresh token, and gets its next token in another way since its provider
// was replaced.
func ofWay(w store.Way) store.Record {
	rec := record(3, "ours")
	rec.Way = w
	return rec
}

func refused(rec store.Record) store.Record {
	rec.Health.NeedsLogin = rec.Token.RefreshToken.Fingerprint()
	return rec
}

// ourKey is the fingerprint of the key in the configuration.
const ourKey = "aabbccddeeff0011"

// keyed has that key.
func keyed(rec store.Record) store.Record {
	rec.Key = ourKey
	return rec
}

// minted has a token from its key alone.
func minted(version uint64) store.Record {
	rec := keyed(record(version, ""))
	rec.Way, rec.Origin = store.WayMint, store.OriginMint
	return rec
}

func keyRefused(rec store.Record) store.Record {
	rec.Health.KeyRefused = ourKey
	return rec
}

// intent is of an attempt with the record's token; a login has a Before.
func intent(attempt string) store.Intent {
	return store.Intent{
		Account: "main", Attempt: attempt, Kind: spool.KindRefresh, Version: 3, At: begun,
		Fingerprint: sdk.NewSecret("ours").Fingerprint(),
	}
}

func replayOf(attempt, of string) store.Intent {
	in := intent(attempt)
	in.Replays, in.AmbiguousSince, in.Sends, in.SentAt = of, begun, 1, begun
	return in
}

func unknownIntent(attempt string) store.Intent {
	in := intent(attempt)
	in.AmbiguousSince, in.Sends, in.SentAt = begun, 1, begun
	return in
}

func mint(in store.Intent) store.Intent {
	in.Kind, in.Fingerprint = spool.KindMint, ourKey
	return in
}

// unread is of an attempt whose answer nobody could read.
func unread(in store.Intent) store.Intent {
	in.Unread = true
	return in
}

func login(attempt string, before *store.Intent) store.Intent {
	in := intent(attempt)
	in.Kind, in.Fingerprint, in.Before = spool.KindExchange, "", before
	return in
}

func standings() []standing {
	f := found(3, "ours", record(2, "older"))
	return []standing{
		{"none", None{}},
		{"good", StandingOf(record(3, "ours"))},
		{"unproven", StandingOf(f)},
		{"refused", StandingOf(refused(record(3, "ours")))},
		{"refused (found)", StandingOf(refused(f))},
		{"none (a key)", StandingOf(keyed(store.Record{}))},
		{"good (a key)", StandingOf(keyed(record(3, "ours")))},
		{"refused (a key)", StandingOf(keyed(refused(record(3, "ours"))))},
		{"minted", StandingOf(minted(3))},
		{"minted (its key refused)", StandingOf(keyRefused(minted(3)))},
	}
}

type standing struct {
	name string
	Standing
}

type named struct {
	name  string
	stage Stage
}

func attempts() []named {
	stood := unknownIntent("a0")
	next := record(4, "new")
	first, under := Open{Intent: intent("a1")}, intent("a0")
	return []named{
		{"free", Free{}},
		{"open", first},
		{"open (a replay)", Open{Intent: replayOf("a1", "a0")}},
		{"open (a login)", Open{Intent: login("a1", &stood), Over: Unknown{Intent: stood}}},
		{"open (a login over an open one)", Open{Intent: login("a1", &under), Over: Open{Intent: under}}},
		{"open (a mint)", Open{Intent: mint(intent("a1"))}},
		{"open (a mint's replay)", Open{Intent: mint(replayOf("a1", "a0"))}},
		{"answered", Answered{first, &next}},
		{"unnoted", Unnoted{first}},
		{"cut", Cut{Of: first}},
		{"cut (again)", Cut{Of: first, Again: true}},
		{"unknown", Unknown{Intent: stood}},
		{"unknown (unread)", Unknown{Intent: unread(stood)}},
		{"unknown (a mint)", Unknown{Intent: mint(stood)}},
		{"unknown (elsewhere)", Unknown{intent("a0"), &Lingering{Until: now.Add(time.Second)}}},
	}
}

type happening struct {
	name  string
	event Event
	later time.Duration // than now
	// course that the account is on; nil: it runs.
	course Course
}

func happenings() []happening {
	moment := time.Minute
	stood := unknownIntent("a0")
	paused := Paused{store.Pause{Since: begun}}
	return []happening{
		{"due", Due{}, 0, nil},
		{"nothing newer was found", Spend{Terms: terms}, 0, nil},
		{"… and it is the moment", Spend{Terms: terms}, moment, nil},
		{"… of a refresh token that stays", Spend{Terms: stays}, moment, nil},
		{"… and its token is about to end", Spend{Terms: terms}, time.Hour - moment, nil},
		{"… and its session is gone", Spend{Terms: Terms{Timeout: terms.Timeout, Over: true}}, 0, nil},
		{"… and somebody asks", Spend{Asked: true, Terms: terms}, 0, nil},
		{"… and somebody insists", Spend{Asked: true, Insisted: true, Terms: terms}, 0, nil},
		{"… while a login is open", Spend{Asked: true, Login: now.Add(time.Hour), Terms: terms}, moment, nil},
		{"… and the token would die", Spend{Asked: true, Login: now.Add(time.Hour), Terms: terms}, time.Hour - moment, nil},
		{"… and somebody insists", Spend{Asked: true, Insisted: true, Login: now.Add(time.Hour), Terms: terms}, moment, nil},
		{"… while it is paused", Spend{Asked: true, Terms: terms}, moment, paused},
		{"… and its token is about to end", Spend{Terms: terms}, time.Hour - moment, paused},
		{"… and somebody insists", Spend{Asked: true, Insisted: true, Terms: terms}, moment, paused},
		{"… and the pause is over", Spend{Terms: terms}, moment, Paused{store.Pause{Since: begun, Until: now}}},
		{"announced", Announced{intent("a2")}, 0, nil},
		{"announced, a replay", Announced{replayOf("a2", "a0")}, 0, nil},
		{"announced, a mint", Announced{mint(intent("a2"))}, 0, nil},
		{"announced, a mint's replay", Announced{mint(replayOf("a2", "a0"))}, 0, nil},
		{"announced, a login", Announced{login("a2", nil)}, 0, nil},
		{"announced, a login over it", Announced{login("a2", &stood)}, 0, nil},
		{"it is not known what is announced", NotAnnounced{}, 0, nil},
		{"announced for another spool", Moved{intent("a2")}, 0, nil},
		{"its call is made", Calls{intent("a1")}, 0, nil},
		{"another's call is made", Calls{intent("a9")}, 0, nil},
		{"the connection is lost", Lost{}, 0, nil},
		{"its token is stored", Stored{record(4, "new")}, 0, nil},
		{"its token is kept beside", Beside{record(3, "ours")}, 0, nil},
		{"its token is not stored", NotStored{}, 0, nil},
		{"failed", Failed{Kind: sdk.KindTransient, Error: "failed", At: now}, 0, nil},
		{"failed, not sent", Failed{Kind: sdk.KindNotSent, Error: "failed", At: now}, 0, nil},
		{"its end is noted", Ended{}, 0, nil},
		{"the store takes nothing", NotEnded{}, 0, nil},
		{"no answer came", Unanswered{terms}, 0, nil},
		{"… to a refresh token that stays", Unanswered{stays}, 0, nil},
		{"… to a mint that ends no other token", Unanswered{Terms{Timeout: terms.Timeout, MintsBeside: true}}, 0, nil},
		{"marked as unknown", Marked{unknownIntent("a1")}, 0, nil},
		{"invalid_grant, of ours", Denied{sdk.NewSecret("ours").Fingerprint()}, 0, nil},
		{"invalid_grant, of another", Denied{sdk.NewSecret("older").Fingerprint()}, 0, nil},
		{"invalid_grant, of the key", Denied{ourKey}, 0, nil},
		{"no other token is found", NothingElse{}, 0, nil},
		{"the refusal is noted", Judged{refused(record(3, "ours"))}, 0, nil},
		{"it is given up", GivenUp{refused(record(3, "ours"))}, 0, nil},
		{"a generation begins: announced", Found{intent("a1")}, 0, nil},
		{"… another is announced", Found{intent("a9")}, 0, nil},
		{"… nothing is announced", NotFound{}, 0, nil},
		{"… can't be compared", NotSettled{}, 0, nil},
		{"… can't, by the disk", NotSettled{Disk: true}, 0, nil},
		{"… perhaps made elsewhere", Lingers{Lingering{Until: now.Add(moment)}}, 0, nil},
		{"a found token is stored", Taken{found(4, "theirs", record(3, "ours"))}, 0, nil},
		{"an import is stored", Taken{record(4, "theirs")}, 0, nil},
		{"… of what an attempt has sent", Taken{found(4, "ours", store.Record{})}, 0, nil},
		{"the record is read", Reread{record(3, "ours")}, 0, nil},
		{"… and its provider only mints by now", Reread{ofWay(store.WayMint)}, 0, nil},
		{"… and its provider leaves it to logins", Reread{ofWay(store.WayLogin)}, 0, nil},
		{"its times are corrected", Corrected{record(3, "ours")}, 0, nil},
		{"… and its provider only mints by now", Corrected{ofWay(store.WayMint)}, 0, nil},
		{"its key is known", Keyed{ourKey}, 0, nil},
		{"the clock was set back", SetBack{}, 0, nil},
	}
}

func isOpen(at Stage) bool {
	_, open := at.(Open)
	return open
}

// attemptName is the name of the attempt in the table.
func attemptName(at Stage) string {
	switch o, _ := opened(uncut(at)); {
	case o.Intent.Kind == spool.KindExchange && isOpen(o.Over):
		return at.name() + " (a login over an open one)"
	case o.Intent.Kind == spool.KindExchange:
		return at.name() + " (a login)"
	case o.Intent.Replays != "" && o.Intent.Kind == spool.KindMint:
		return at.name() + " (a mint's replay)"
	case o.Intent.Replays != "":
		return at.name() + " (a replay)"
	case o.Intent.Kind == spool.KindMint:
		return at.name() + " (a mint)"
	}
	switch at := at.(type) {
	case Cut:
		if at.Again {
			return "cut (again)"
		}
	case Unknown:
		if at.Lingering != nil {
			return "unknown (elsewhere)"
		}
		if at.Intent.Kind == spool.KindMint {
			return "unknown (a mint)"
		}
		if at.Intent.Unread {
			return "unknown (unread)"
		}
	}
	return at.name()
}

// becomes is what an account becomes by an event, and does.
func becomes(s State, attempt string, h happening) string {
	next, does, err := Next(s, h.event, now.Add(h.later))
	if err != nil {
		return "impossible | "
	}
	var parts []string
	sets := false // whatever stood before
	switch h.event.(type) {
	case Stored, Beside, Taken, Judged, GivenUp, Reread, Corrected:
		sets = true
	}
	if n := next.Standing.name(); sets || n != s.Standing.name() {
		parts = append(parts, n)
	}
	if n := attemptName(next.Stage); n != attempt || sets && n == "free" {
		parts = append(parts, n)
	}
	if len(parts) == 0 {
		parts = []string{"as it is"}
	}
	return strings.Join(parts, ", ") + " | " + does.String()
}

// table is what becomes of every account by everything that can happen. Rows that
// say the same are one.
func table() string {
	var b strings.Builder
	b.WriteString("| what happens | its token | its attempt | becomes | does |\n|---|---|---|---|---|\n")
	all := standings()
	for _, h := range happenings() {
		type row struct{ standings, outcome string }
		var rows []row
		members := map[row][]string{}
		for _, a := range attempts() {
			var outcomes []string
			which := map[string][]string{}
			for _, s := range all {
				o := becomes(State{s.Standing, Attempt{a.stage}, h.course}, a.name, h)
				if which[o] == nil {
					outcomes = append(outcomes, o)
				}
				which[o] = append(which[o], s.name)
			}
			for _, o := range outcomes {
				r := row{strings.Join(which[o], ", "), o}
				if len(which[o]) == len(all) {
					r.standings = "any"
				}
				if members[r] == nil {
					rows = append(rows, r)
				}
				members[r] = append(members[r], a.name)
			}
		}
		name := h.name
		for _, r := range rows {
			which := strings.Join(members[r], ", ")
			if len(members[r]) == len(attempts()) {
				which = "any"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, r.standings, which, strings.TrimSuffix(r.outcome, " "))
			name = ""
		}
	}
	return b.String()
}

const (
	tableBegins = "<!-- the table is written by: go test ./supervisor/internal/account -run TestTable -update -->\n\n"
	tableEnds   = "\n<!-- end of the table -->\n"
)

// TestTable: the table in README.md is what the code does, in every state.
func TestTable(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(readme), tableBegins)
	had, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatal("README.md has no place for the table")
	}
	want := table()
	if *update {
		if err := os.WriteFile("README.md", []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if had != want {
		a, b := strings.Split(had, "\n"), strings.Split(want, "\n")
		for n := range min(len(a), len(b)) {
			if a[n] != b[n] {
				t.Fatalf("the table in README.md says\n%s\nand the code\n%s\nTo write it anew: go test ./supervisor/internal/account -run TestTable -update", a[n], b[n])
			}
		}
		t.Fatal("the table in README.md has another length; to write it anew: go test ./supervisor/internal/account -run TestTable -update")
	}
}

// TestEveryKindIsInTheTable: the representatives are of every kind there is.
func TestEveryKindIsInTheTable(t *testing.T) {
	var names []string
	for _, h := range happenings() {
		names = append(names, fmt.Sprintf("%T", h.event))
	}
	slices.Sort(names)
	kinds := slices.Compact(names)
	events := 0
	src, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(src)) {
		if strings.Contains(line, ") event() string") {
			events++
		}
	}
	if len(kinds) != events {
		t.Errorf("the table has %d kinds of events, and there are %d: %v", len(kinds), events, kinds)
	}
}
