package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
)

// killing is a provider that is killed again and again, and the one beside it
// that must not notice.
type killing struct {
	t    *testing.T
	site *site
	run  *running
	h    *followed
	saxo *brokersim.Server
	door *door
	rows []*killRow
	// forced is the outcome of the refresh that the round asked for; nil: none.
	forced <-chan error
	// late: the attempt's own time was over before the kill came to its window.
	late bool
	// beats since it began.
	began time.Time
	beats func() int
}

// attemptTime is how long an attempt of the victim may take. The replay of an
// ambiguous one waits for its end, so it is short.
const attemptTime = 5 * time.Second

// killRow is what came of the kills in one window.
type killRow struct {
	window string
	kill   func(k *killing, victim *handle)
	want   int // how often
	// open: the broker has the request, so the attempt is ambiguous; lost: the
	// broker has spent the token, too, and nobody has the next one. loose:
	// chance decides.
	open, lost, loose bool

	kills, hits, refreshes, ambiguous, reused, recovered, logins int
}

// windows of an attempt, in their order.
func killRows() []*killRow {
	return []*killRow{
		{window: "idle", want: 2, kill: (*killing).idle},
		{window: "before the send", want: 3, kill: (*killing).beforeSend},
		{window: "received, then dropped", want: 3, kill: (*killing).receivedAndDropped, open: true},
		{window: "received, then processed", want: 3, kill: (*killing).receivedAndProcessed, open: true, lost: true},
		{window: "processed, not answered", want: 3, kill: (*killing).processed, open: true, lost: true},
		{window: "answered and spooled", want: 3, kill: (*killing).spooled},
		{window: "committed", want: 3, kill: (*killing).committed},
		{window: "any moment", want: 8, kill: (*killing).anyMoment, loose: true},
		{window: tooLate, loose: true},
	}
}

// tooLate is where a kill counts that a slow machine has made miss its window.
const tooLate = "too late"

// The victim is Saxo's provider, whose refresh tokens work once; Schwab's has
// a schedule to keep meanwhile.
func TestKilledProviderLosesNothingAndDisturbsNobody(t *testing.T) {
	t.Parallel()
	schwab := startBroker(t, brokersim.Config{Dialect: brokersim.Schwab, AccessLifetime: 4 * time.Second})
	saxo := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo, AccessLifetime: 2 * time.Minute, RefreshLifetime: time.Hour})
	d := newDoor(t, saxo)
	s := newSite(t, "accounts:\n"+accountYAML(schwabAccount, schwab, schwab.TokenURL(), "every: 1s, jitter: 100ms")+
		accountYAML(saxoAccount, saxo, d.tokenURL, fmt.Sprintf("every: 30s, timeout: %s", attemptTime))+filesYAML)
	s.env = []string{"SSL_CERT_FILE=" + d.roots}
	r := startRun(t, s)
	k := &killing{t: t, site: s, run: r, h: r.follow(), saxo: saxo, door: d, rows: killRows(), began: time.Now(), beats: waittest.Beats(t)}
	s.logIn(t, schwab, schwabAccount, format.Schwab)
	s.logIn(t, saxo, saxoAccount, format.SaxoCache)
	bystander := r.providerProcess("schwab")
	k.h.await(0, about(event.Refreshed, schwabAccount))

	k.round(k.row("idle")) // the first crash: a short backoff takes its course
	for _, row := range k.shuffled() {
		for tries := 1; !k.round(row); tries++ {
			if tries == 5 {
				t.Fatalf("%s: whenever the kill came, the attempt's %s were over", row.window, attemptTime)
			}
		}
	}
	r.until(func(st control.Status) bool { return account(st, schwabAccount).Version >= 8 })
	k.judgeBystander(schwab, bystander)
	k.judgeTotals()
	t.Log(k.table())
	r.Stop()
	s.mustBeGone(t)
}

// shuffled is every row as often as it wants, in an order that changes.
func (k *killing) shuffled() []*killRow {
	var order []*killRow
	for _, row := range k.rows {
		for range row.want {
			order = append(order, row)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// round kills once and sees the account recover. It returns false if the machine
// was too slow for the kill to come to its window.
func (k *killing) round(row *killRow) (inTime bool) {
	k.t.Helper()
	before := k.run.until(func(st control.Status) bool {
		a := account(st, saxoAccount)
		return a.State == control.AccountValid && !a.InFlight && provider(st, "saxo").State == control.ProviderRunning
	})
	victim := watchProcess(k.t, provider(before, "saxo").PID)
	counts, mark := k.saxo.Account(saxoAccount), k.h.mark()
	hits := row.hits
	row.kill(k, victim)
	if inTime = !k.late; !inTime {
		row, hits, k.late = k.row(tooLate), 0, false
	}
	row.kills++
	victim.mustHaveEnded()
	if row.hits == hits && !row.loose {
		k.t.Errorf("%s: the kill missed its window: %+v, before it %+v", row.window, k.saxo.Account(saxoAccount), counts)
	}

	// Later on a person skips the backoff.
	if provider(before, "saxo").Crashes > 0 {
		if _, err := k.run.Client.Restart(k.t.Context(), "saxo"); err != nil {
			k.t.Fatalf("%s: restart: %v", row.window, err)
		}
	}
	if k.forced != nil {
		<-k.forced // it may have failed: what counts is what the account comes to
		k.forced = nil
	}
	k.recover(row, victim, counts, mark)
	return inTime
}

// force asks for a refresh in this round.
func (k *killing) force() { k.forced = k.run.forceRefresh(saxoAccount) }

// recover waits until the account is as it was, by a login if the kill has
// cost the grant, and judges how it came to that.
func (k *killing) recover(row *killRow, victim *handle, counts brokersim.Counts, mark int) {
	k.t.Helper()
	settled := k.run.until(func(st control.Status) bool {
		a, p := account(st, saxoAccount), provider(st, "saxo")
		return p.State == control.ProviderRunning && p.PID != victim.pid && !a.InFlight && a.AmbiguousSince.IsZero() &&
			(a.State == control.AccountNeedsLogin || a.State == control.AccountValid && a.Due.After(st.Now))
	})
	now := k.saxo.Account(saxoAccount)
	ambiguous := len(k.h.since(mark, func(e event.Event) bool {
		return about(event.Ambiguous, saxoAccount)(e) && e.State == "" // the alert about it is another one
	}))
	lost := account(settled, saxoAccount).State == control.AccountNeedsLogin
	row.ambiguous += ambiguous
	row.refreshes += now.Refreshes - counts.Refreshes
	row.reused += now.Reused - counts.Reused

	// Only a replay of an ambiguous attempt carries a refresh token again, and
	// it does so once.
	if repeats := now.Repeats - counts.Repeats; repeats > ambiguous || ambiguous > 1 || lost && ambiguous == 0 {
		k.t.Errorf("%s: %d ambiguous attempts, %d refresh tokens sent again, needs a login: %t", row.window, ambiguous, repeats, lost)
	}
	if !row.loose && (row.open != (ambiguous == 1) || row.lost != lost || row.lost != (now.Reused > counts.Reused)) {
		k.t.Errorf("%s: %d ambiguous attempts, needs a login: %t, before %+v, after %+v", row.window, ambiguous, lost, counts, now)
	}
	if row.window == "answered and spooled" && now.Posts != counts.Posts+1 {
		k.t.Errorf("%s: %d requests, want the one whose answer was in the spool", row.window, now.Posts-counts.Posts)
	}
	if lost {
		row.logins++
		k.site.logIn(k.t, k.saxo, saxoAccount, format.SaxoCache)
	} else {
		row.recovered++
	}
	k.mustHoldValidToken(row)
}

// mustHoldValidToken asks the broker about what the sink has.
func (k *killing) mustHoldValidToken(row *killRow) {
	k.t.Helper()
	// A token that was imported with less left than the threshold is refreshed
	// at once.
	k.run.until(func(st control.Status) bool {
		a := account(st, saxoAccount)
		return len(a.Sinks) == 1 && a.Sinks[0].Behind == 0 && !a.InFlight && a.Due.After(st.Now)
	})
	token := decodeFile[tokenFile](k.t, k.site.path(saxoAccount+".json"))
	if !k.saxo.AccessValid(token.Access) || !k.saxo.RefreshValid(token.Refresh) {
		k.t.Errorf("%s: afterwards the access token works: %t, the refresh token: %t",
			row.window, k.saxo.AccessValid(token.Access), k.saxo.RefreshValid(token.Refresh))
	}
}

func (k *killing) row(window string) *killRow {
	for _, row := range k.rows {
		if row.window == window {
			return row
		}
	}
	k.t.Fatalf("there is no window %q", window)
	return nil
}

// Each of the following kills once, and counts a hit if the broker's counters
// prove the window.

func (k *killing) idle(victim *handle) {
	before := k.saxo.Account(saxoAccount)
	victim.kill()
	if k.saxo.Account(saxoAccount) == before {
		k.row("idle").hits++
	}
}

func (k *killing) beforeSend(victim *handle) {
	before := k.saxo.Account(saxoAccount)
	at := k.door.holdNext()
	k.force()
	came(k.t, at.entered, "the provider connects")
	victim.kill()
	at.open()
	if k.saxo.Account(saxoAccount) == before {
		k.row("before the send").hits++
	}
}

func (k *killing) receivedAndDropped(victim *handle) {
	gate := k.received(victim, "received, then dropped")
	gate.Drop()
	came(k.t, gate.Done, "the dropped request ends")
}

func (k *killing) receivedAndProcessed(victim *handle) {
	gate := k.received(victim, "received, then processed")
	gate.Release()
	came(k.t, gate.Done, "the orphaned request ends")
}

func (k *killing) received(victim *handle, window string) *brokersim.Gate {
	gate := k.saxo.HoldNext(saxoAccount)
	k.force()
	came(k.t, gate.Entered, "the request arrives")
	if c := k.saxo.Account(saxoAccount); c.OpenReceived == 1 && c.OpenProcessed == 0 {
		k.row(window).hits++
	} else {
		k.late = happened(gate.Gone)
	}
	victim.kill()
	came(k.t, gate.Gone, "the broker's client goes away")
	return gate
}

func (k *killing) processed(victim *handle) {
	gate := k.saxo.HoldNextAnswer(saxoAccount)
	k.force()
	came(k.t, gate.Entered, "the request is processed")
	if c := k.saxo.Account(saxoAccount); c.OpenProcessed == 1 && c.OpenReceived == 0 {
		k.row("processed, not answered").hits++
	} else {
		k.late = happened(gate.Gone)
	}
	victim.kill()
	came(k.t, gate.Gone, "the broker's client goes away")
	gate.Release()
	came(k.t, gate.Done, "the orphaned request ends")
}

// spooled stops the supervisor for a moment, so that it can't take the answer
// before the provider dies.
func (k *killing) spooled(victim *handle) {
	before := k.saxo.Account(saxoAccount)
	gate := k.saxo.HoldNextAnswer(saxoAccount)
	began := time.Now()
	k.force()
	came(k.t, gate.Entered, "the request is processed")
	supervisor := watchProcess(k.t, k.run.PID)
	waittest.Stop(k.t, k.run.PID)
	gate.Release()
	came(k.t, gate.Done, "the request is answered")
	// The provider hears nothing out whose time is over.
	waittest.Until(k.t, "an answer in the spool, or the end of its time", func() bool {
		k.late = happened(gate.Gone) || time.Since(began) > attemptTime*3/4
		return k.late || k.site.isSpooled(k.t, "saxo", saxoAccount)
	})
	victim.kill()
	supervisor.signal(unix.SIGCONT)
	if c := k.saxo.Account(saxoAccount); !k.late && c.Answered == before.Answered+1 && c.Posts == before.Posts+1 {
		k.row("answered and spooled").hits++
	}
}

// committed kills as soon as anybody can know that the new token is durable.
func (k *killing) committed(victim *handle) {
	before, mark := k.saxo.Account(saxoAccount), k.h.mark()
	k.force()
	k.h.await(mark, about(event.Refreshed, saxoAccount))
	victim.kill()
	if c := k.saxo.Account(saxoAccount); c.Answered == before.Answered+1 && c.Posts == before.Posts+1 {
		k.row("committed").hits++
	}
}

// anyMoment kills somewhere in the course of an attempt. It rarely hits an open
// request, because the broker answers at once.
func (k *killing) anyMoment(victim *handle) {
	before := k.saxo.Account(saxoAccount)
	k.force()
	<-time.After(rand.N(25 * time.Millisecond))
	victim.kill()
	if now := k.saxo.Account(saxoAccount); now.CutReceived+now.CutProcessed+now.Open() > before.CutReceived+before.CutProcessed {
		k.row("any moment").hits++
	}
}

// judgeBystander looks at the provider that nobody touched.
func (k *killing) judgeBystander(schwab *brokersim.Server, process *handle) {
	k.t.Helper()
	st := k.run.until(func(st control.Status) bool { return !account(st, schwabAccount).InFlight })
	if p := provider(st, "schwab"); p.PID != process.pid || p.Generation != 1 || p.Crashes != 0 || p.Restarts != 0 {
		k.t.Errorf("the other provider: %+v, and its process was %d", p, process.pid)
	}
	all := k.h.since(0, about(event.Refreshed, schwabAccount))
	var late []time.Duration
	for i := 1; i < len(all); i++ {
		late = append(late, all[i].Time.Sub(all[i-1].Next))
	}
	slices.Sort(late)
	// Something was killed before every fourth of its refreshes or so: a machine
	// that stands still for a moment delays one of them, a kill that disturbs
	// delays many. How slow the machine is by itself, the beats tell.
	slow := time.Since(k.began)/time.Duration(k.beats()+1) - time.Second
	if usual := late[len(late)*3/4]; usual > time.Second+10*max(0, slow) {
		k.t.Errorf("a quarter of the other provider's refreshes came more than %s late, where a beat takes %s more than a second", usual, slow)
	}
	worst := late[len(late)-1]
	c := schwab.Account(schwabAccount)
	if failed := k.h.since(0, refreshFailed(schwabAccount)); len(failed) > 0 || c.Refreshes != c.Posts || c.Refreshes < len(all) || len(all) < 6 {
		k.t.Errorf("the other provider's account: %d refreshed, broker: %+v, failures: %+v", len(all), c, failed)
	}
	k.t.Logf("the other provider: process %d all along, %d refreshes, at most %s late", process.pid, len(all), worst.Round(time.Millisecond))
}

// judgeTotals looks at the sums.
func (k *killing) judgeTotals() {
	k.t.Helper()
	kills, open, reused := 0, 0, 0
	for _, row := range k.rows {
		kills += row.kills
		reused += row.reused
		if row.open {
			open += row.hits
		}
		if !row.loose && row.hits < row.want {
			k.t.Errorf("%s: %d kills, %d hits, want %d", row.window, row.kills, row.hits, row.want)
		}
	}
	c := k.saxo.Account(saxoAccount)
	if kills < 20 || open < 5 || c.CutReceived+c.CutProcessed < open {
		k.t.Errorf("%d kills, %d of them in an open request, by the broker's count %d", kills, open, c.CutReceived+c.CutProcessed)
	}
	if got := len(k.saxo.Reused()); got != reused {
		k.t.Errorf("the broker saw %d spent refresh tokens again, want %d", got, reused)
	}
}

func (k *killing) table() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nkilled\tkills\thits\trefreshes\tambiguous\tspent token seen\trecovered\tlogins")
	for _, r := range k.rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.window, r.kills, r.hits, r.refreshes, r.ambiguous, r.reused, r.recovered, r.logins)
	}
	_ = w.Flush()
	return b.String()
}
