package limit

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// at are requests so many minutes ago, by the clock of TestNext; a negative one has
// failed.
func at(minutes ...int) (made []Made) {
	for _, m := range minutes {
		made = append(made, Made{At: noon - time.Duration(max(m, -m))*time.Minute, Failed: m < 0})
	}
	return made
}

const noon = 100 * time.Hour

func TestNext(t *testing.T) {
	requests := func(n int) sdk.Limits { return sdk.Limits{RequestsPerHour: n} }
	logins := func(n int, lockout time.Duration) sdk.Limits {
		return sdk.Limits{FailedLoginsPerHour: n, LockedOutFor: lockout}
	}
	tests := []struct {
		name   string
		limits sdk.Limits
		made   []Made
		ask    Ask
		want   Hold
	}{
		{"no limit", sdk.Limits{}, at(5, 4, 3, 2, 1), Ask{Login: true}, Hold{}},
		{"nothing made", requests(1), nil, Ask{}, Hold{}},
		{"below it", requests(4), at(50, 40), Ask{}, Hold{}},
		{"one is left for a person", requests(4), at(50, 40, 30), Ask{}, Hold{Wait: 11 * time.Minute, Counted: 3, Since: noon - 50*time.Minute, Left: 1}},
		{"who takes it", requests(4), at(50, 40, 30), Ask{Insisted: true}, Hold{}},
		{"nobody goes over it", requests(4), at(50, 40, 30, 20), Ask{Insisted: true}, Hold{Wait: 11 * time.Minute, Counted: 4, Since: noon - 50*time.Minute}},
		{"who has taken it holds up the next", requests(4), at(50, 40, 30, 20), Ask{}, Hold{Wait: 21 * time.Minute, Counted: 4, Since: noon - 50*time.Minute}},
		{"of two none is left over", requests(2), at(50), Ask{}, Hold{}},
		{"both", requests(2), at(50, 10), Ask{}, Hold{Wait: 11 * time.Minute, Counted: 2, Since: noon - 50*time.Minute}},
		{"an hour is over for certain", requests(1), at(61), Ask{}, Hold{}},
		{"it may have come late", requests(1), at(60), Ask{}, Hold{Wait: time.Minute, Counted: 1, Since: noon - time.Hour}},
		{"a limit that cannot be reached", requests(kept + 1), at(make([]int, 65)...), Ask{}, Hold{}},

		{"nothing was asked for yet that could be repeated", requests(5), nil, Ask{Again: true, Saves: true, Until: noon + 5*time.Minute}, Hold{}},
		{"a repetition leaves enough up to the end", requests(5), at(0), Ask{Again: true, Saves: true, Last: noon + 4*time.Minute, Until: noon + 4*time.Minute},
			Hold{Wait: time.Minute, Counted: 1, Since: noon, Spread: true}},
		{"also without what is a person's", requests(5), at(0), Ask{Again: true, Until: noon + 6*time.Minute},
			Hold{Wait: 2 * time.Minute, Counted: 1, Since: noon, Spread: true}},
		{"the last one is for the end", requests(5), at(30, 20, 10, 0), Ask{Again: true, Saves: true, Last: noon + 4*time.Minute, Until: noon + 4*time.Minute},
			Hold{Wait: 4 * time.Minute, Counted: 4, Since: noon - 30*time.Minute, Left: 1}},
		{"and is used then", requests(5), at(30, 20, 10, 0), Ask{Saves: true, Last: noon}, Hold{}},
		{"but is waited for no longer than without", requests(5), at(58, 20, 10, 0), Ask{Saves: true, Last: noon + 4*time.Minute},
			Hold{Wait: 3 * time.Minute, Counted: 4, Since: noon - 58*time.Minute, Left: 1}},
		{"and used by nobody twice", requests(5), at(40, 30, 20, 10, 0), Ask{Saves: true, Last: noon},
			Hold{Wait: 21 * time.Minute, Counted: 5, Since: noon - 40*time.Minute}},
		{"an end that is far off", requests(4), at(0), Ask{Again: true, Saves: true, Last: noon, Until: noon + 1000*time.Hour},
			Hold{Wait: 20 * time.Minute, Counted: 1, Since: noon, Spread: true}},
		{"after the end each pause is as long as all before", requests(5), at(0), Ask{Again: true, Saves: true, Last: noon, Until: noon},
			Hold{Wait: 61 * time.Minute / 16, Counted: 1, Since: noon, Spread: true}},
		{"of many nothing has to be spared", requests(100), at(0), Ask{Again: true, Until: noon}, Hold{}},
		{"those that follow have room", requests(5), at(50), Ask{Every: 15 * time.Minute}, Hold{}},
		{"or get it first", requests(5), at(40, 5), Ask{Every: 15 * time.Minute},
			Hold{Wait: 11 * time.Minute, Counted: 2, Since: noon - 40*time.Minute, Owed: true}},
		{"at the limit it waits for those as well", requests(5), at(50, 40, 30, 10), Ask{Every: 20 * time.Minute},
			Hold{Wait: 11 * time.Minute, Counted: 4, Since: noon - 50*time.Minute, Left: 1}},
		{"nothing leaves room for too many", requests(3), at(55), Ask{Every: 10 * time.Minute}, Hold{}},
		{"soon", requests(5), at(0), Ask{Again: true, Soon: true, Saves: true, Last: noon, Until: noon + 4*time.Minute}, Hold{}},
		{"soon, and it is the last", requests(2), at(0), Ask{Again: true, Soon: true, Saves: true, Last: noon, Until: noon + 4*time.Minute},
			Hold{Wait: 4 * time.Minute, Counted: 1, Since: noon, Spread: true}},

		{"logins may fail", logins(5, time.Hour), at(-40, -30, -20), Ask{Login: true}, Hold{}},
		{"but not up to the limit", logins(5, time.Hour), at(-40, -30, 25, -20, -10), Ask{Login: true},
			Hold{Wait: 21 * time.Minute, Counted: 4, Since: noon - 40*time.Minute, Failed: true}},
		{"not for a person either", logins(5, time.Hour), at(-40, -30, -20, -10), Ask{Login: true, Insisted: true},
			Hold{Wait: 21 * time.Minute, Counted: 4, Since: noon - 40*time.Minute, Failed: true}},
		{"a refresh is no login", logins(5, time.Hour), at(-40, -30, -20, -10), Ask{}, Hold{}},
		{"the first failure locks out", logins(1, 0), nil, Ask{Login: true}, Hold{}},
		{"locked out for longer than an hour", logins(3, 24*time.Hour), at(-200, -190, -180), Ask{Login: true},
			Hold{Wait: 21*time.Hour + time.Minute, Counted: 3, Since: noon - 200*time.Minute, Failed: true, Locked: true}},
		{"and once more, by who insists there", logins(2, 10*time.Hour), at(-300, -250, -240), Ask{Login: true},
			Hold{Wait: 6*time.Hour + time.Minute, Counted: 2, Since: noon - 250*time.Minute, Failed: true, Locked: true}},
		{"failures of different hours lock nobody out", logins(3, 24*time.Hour), at(-300, -200, -100), Ask{Login: true}, Hold{}},
		{"locked out for less than what it counts", logins(3, time.Minute), at(-50, -40, -30), Ask{Login: true},
			Hold{Wait: 21 * time.Minute, Counted: 3, Since: noon - 50*time.Minute, Failed: true}},
		{"the later of both", sdk.Limits{RequestsPerHour: 3, FailedLoginsPerHour: 3}, at(-50, -45, 20), Ask{Login: true, Insisted: true},
			Hold{Wait: 11 * time.Minute, Counted: 2, Since: noon - 50*time.Minute, Failed: true}},
		{"the later of both, the other way round", sdk.Limits{RequestsPerHour: 3, FailedLoginsPerHour: 3}, at(-50, -45, 20), Ask{Login: true},
			Hold{Wait: 16 * time.Minute, Counted: 3, Since: noon - 50*time.Minute}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule := Rule{tt.limits, time.Minute}
			if got := rule.Next(tt.made, tt.ask, noon); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if got := rule.Next(rule.Keep(tt.made, noon), tt.ask, noon); got != tt.want {
				t.Errorf("of what is kept: %+v, want %+v", got, tt.want)
			}
			if tt.want.Wait > 0 {
				later := noon + tt.want.Wait
				if got := rule.Next(rule.Keep(tt.made, later), tt.ask, later); got.Wait > 0 {
					t.Errorf("when it was said to be safe: %+v", got)
				}
			}
		})
	}
}

// Whatever is asked for when, no hour by the broker's count has more requests or failed
// logins than it allows, and whoever waits as long as is said is let through.
func TestNeverMore(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rule := Rule{sdk.Limits{
			RequestsPerHour: rapid.IntRange(0, 6).Draw(rt, "requests"), FailedLoginsPerHour: rapid.IntRange(0, 4).Draw(rt, "failed"),
			LockedOutFor: time.Duration(rapid.IntRange(0, 150).Draw(rt, "lockout")) * time.Minute,
		}, time.Minute}
		now := noon
		var made []Made
		var arrived, failed []time.Duration
		for range rapid.IntRange(1, 80).Draw(rt, "asked") {
			now += time.Duration(rapid.IntRange(0, 1200).Draw(rt, "pause")) * time.Second
			ask := Ask{Login: rapid.Bool().Draw(rt, "login"), Insisted: rapid.Bool().Draw(rt, "insisted")}
			if rapid.Bool().Draw(rt, "repeats") {
				ask.Again, ask.Saves, ask.Soon = true, rapid.Bool().Draw(rt, "saves"), rapid.Bool().Draw(rt, "soon")
				ask.Until = now + time.Duration(rapid.IntRange(-90, 90).Draw(rt, "until"))*time.Minute
				ask.Last = ask.Until
			}
			made = rule.Keep(made, now)
			h := rule.Next(made, ask, now)
			if h.Wait > 0 {
				if then := rule.Next(made, ask, now+h.Wait); then.Wait > 0 && !then.Spread || !h.Spread && rule.Next(made, ask, now+h.Wait-1).Wait == 0 {
					rt.Fatalf("it is said to wait %s, which is not so: %+v", h.Wait, made)
				}
				continue
			}
			m := Made{At: now, Failed: ask.Login && rapid.Bool().Draw(rt, "refused")}
			reached := now + time.Duration(rapid.IntRange(0, 60).Draw(rt, "late"))*time.Second
			made, arrived = append(made, m), append(arrived, reached)
			if m.Failed {
				failed = append(failed, reached)
			}
			now = reached // one at a time
		}
		most(rt, arrived, rule.RequestsPerHour)
		if rule.FailedLoginsPerHour > 1 { // otherwise the first one is too many
			most(rt, failed, rule.FailedLoginsPerHour-1)
		}
	})
}

func most(rt *rapid.T, arrived []time.Duration, allowed int) {
	for n := allowed; allowed > 0 && n < len(arrived); n++ {
		if arrived[n]-arrived[n-allowed] < time.Hour {
			rt.Fatalf("%d requests between %s and %s, and %d are allowed", allowed+1, arrived[n-allowed], arrived[n], allowed)
		}
	}
}
