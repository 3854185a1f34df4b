package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// The outage that is replayed: shorter than a token lives, and yet it stopped whoever had
// an older one.
const (
	replayedLife   = 15 * time.Minute
	replayedOutage = 14 * time.Minute
	// strategies have an account each. They have logged in so far apart that the outage
	// finds each in another minute of its cycle, and in another part of a minute.
	strategies      = 15
	strategiesApart = 64 * time.Second
)

// lasting is a broker whose refresh tokens stay, and whose access tokens live to their end.
func lasting(t *testing.T, yaml string) *world {
	return newWorldOf(t, nil, yaml,
		brokersim.Config{Dialect: brokersim.Saxo, Rotation: brokersim.RotationNever, AccessLifetime: replayedLife, RefreshLifetime: 24 * time.Hour},
		sdk.Policy{AccessLifetime: replayedLife, Sliding: true, OldAccessLives: true, BeforeExpiry: 5 * time.Minute})
}

// statusOf is what the account's Keeper knows of it.
func (w *world) statusOf(account string) refresh.Status {
	w.t.Helper()
	k, ok := w.roster.KeeperOf(account)
	if !ok {
		w.t.Fatalf("nobody keeps account %s", account)
	}
	st, _ := k.Status(account)
	return st
}

func strategy(n int) string { return fmt.Sprintf("bot-%02d", n) }

// replay has the outage begin a second before the first strategy's refresh, which is its
// worst moment, and returns for how long each of them was without a token. Keys are more
// of each account's refresh keys.
func replay(t *testing.T, keys string, planned time.Duration) (without []time.Duration) {
	yaml := "accounts:\n"
	for n := range strategies {
		yaml += fmt.Sprintf("  %s: {provider: one, client_id: app-key, client_secret: app-secret, refresh: {jitter: 0s%s}}\n", strategy(n), keys)
	}
	w := lasting(t, yaml)
	defer w.end()
	for n := range strategies {
		w.logIn(strategy(n))
		time.Sleep(strategiesApart)
	}
	synctest.Wait()
	time.Sleep(time.Until(w.statusOf(strategy(0)).Due) - time.Second)
	synctest.Wait()
	without = make([]time.Duration, strategies)
	w.brokers["one"].Inject(brokersim.ServerError(503).Repeat(-1))
	for n := range strategies {
		if got := w.statusOf(strategy(n)).Planned; got != planned {
			t.Errorf("refresh: {%s}: at least %s are planned, want %s", keys, got, planned)
		}
	}
	const step = time.Second
	for over := step; over <= replayedOutage+3*time.Minute; over += step {
		time.Sleep(step)
		synctest.Wait()
		for n := range strategies {
			if !time.Now().Before(w.statusOf(strategy(n)).Record.Token.Expiry()) {
				without[n] += step
			}
		}
		if over == replayedOutage {
			w.brokers["one"].ClearFaults()
		}
	}
	return without
}

// replays are the rates at which it is replayed, by what is planned with each.
var replays = []struct {
	name, keys string
	planned    time.Duration
}{
	{"plain plan", "", 5 * time.Minute},
	{"4/h", ", budget: 4/h", 5 * time.Minute}, // the plan has six
	{"12/h", ", budget: 12/h", 10 * time.Minute},
	{"60/h", ", budget: 60/h", 14 * time.Minute},
}

// An outage of 14 minutes at a broker whose tokens live for 15 leaves nearly everybody
// without one. The more often tokens are refreshed before, the shorter; once a minute it
// is over before anybody's token is, but for the seconds up to the next try.
func TestOutageReplay(t *testing.T) {
	columns := make([][]time.Duration, len(replays))
	for n, r := range replays {
		synctest.Test(t, func(t *testing.T) { columns[n] = replay(t, r.keys, r.planned) })
		if columns[n] == nil {
			t.FailNow()
		}
	}
	plain, four, twelve, sixty := sum(columns[0]), sum(columns[1]), sum(columns[2]), sum(columns[3])
	t.Log(replayTable(columns))
	// A try that has failed is repeated within a minute and a fifth.
	const pause = 75 * time.Second
	if left := replayedOutage - 5*time.Minute; plain.worst < left-time.Second || plain.worst > left+pause || plain.without < strategies-2 {
		t.Errorf("by the plain plan: %+v", plain)
	}
	if four.without != plain.without || (four.worst-plain.worst).Abs() > pause {
		t.Errorf("fewer an hour than are planned: %+v, and without them %+v", four, plain)
	}
	if left := replayedOutage - 10*time.Minute; twelve.worst < left-time.Second || twelve.worst > left+pause || twelve.without > plain.without ||
		twelve.median >= plain.median {
		t.Errorf("at 12 an hour: %+v, and by the plain plan %+v", twelve, plain)
	}
	if sixty.worst > 15*time.Second || sixty.without > 2 || sixty.median > 0 {
		t.Errorf("at 60 an hour: %+v", sixty)
	}
}

// replayed is one column in three figures.
type replayed struct {
	without       int
	median, worst time.Duration
}

func sum(column []time.Duration) (r replayed) {
	sorted := slices.Sorted(slices.Values(column))
	for _, d := range sorted {
		if d > 0 {
			r.without++
		}
	}
	r.median, r.worst = sorted[len(sorted)/2], sorted[len(sorted)-1]
	return r
}

// replayTable says who was without a token for how long at which rate.
func replayTable(columns [][]time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "an outage of %s, tokens of %s: for how long each was without one\n", replayedOutage, replayedLife)
	line := func(name string, of func(n int) any) {
		fmt.Fprintf(&b, "%-10s", name)
		for n := range replays {
			fmt.Fprintf(&b, "%12v", of(n))
		}
		b.WriteByte('\n')
	}
	line("", func(n int) any { return replays[n].name })
	for row := range strategies {
		line(strategy(row), func(n int) any { return columns[n][row] })
	}
	line("how many", func(n int) any { return sum(columns[n]).without })
	line("median", func(n int) any { return sum(columns[n]).median })
	line("worst", func(n int) any { return sum(columns[n]).worst })
	return b.String()
}

// A budget is read again as every other key of an account is.
func TestBudgetIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		yaml := func(keys string) string {
			return "accounts:\n  main: {provider: one, client_id: app-key, client_secret: app-secret, refresh: {" + keys + "}}\n"
		}
		w := lasting(t, yaml(""))
		defer w.end()
		w.logIn("main")
		for _, step := range []struct {
			keys    string
			planned time.Duration
			most    int // refreshes in an hour, and least one less
		}{
			{"", 5 * time.Minute, 6}, {"jitter: 0s, budget: 12/h", 10 * time.Minute, 12}, {"", 5 * time.Minute, 6},
		} {
			w.write(yaml(step.keys))
			w.accept()
			synctest.Wait()
			before := w.version("main")
			if got := w.statusOf("main").Planned; got != step.planned {
				t.Errorf("{%s}: at least %s are planned, want %s", step.keys, got, step.planned)
			}
			time.Sleep(time.Hour + 30*time.Second)
			synctest.Wait()
			if made := int(w.version("main") - before); made > step.most+1 || made < step.most-1 {
				t.Errorf("{%s}: %d refreshes in an hour, want about %d", step.keys, made, step.most)
			}
		}
	})
}
