package verdict

import (
	"fmt"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
)

// mostReasons of a probe are named; the others are counted.
const mostReasons = 20

// Health is the verdict for probes on a supervisor that answers.
func Health(s control.Status, now time.Time) control.Health {
	return control.Health{Lives: control.NewProbe(few(dead(s, now))), Ready: control.NewProbe(few(unready(s, now)))}
}

// Speechless is the one on a supervisor that can't say how it is, and why not.
func Speechless(why error) control.Health {
	p := control.NewProbe([]string{"the supervisor can't say how it is: " + why.Error()})
	return control.Health{Lives: p, Ready: p}
}

// dead is what a restart helps.
func dead(s control.Status, now time.Time) (why []string) {
	if text := unseeing(s, now); text != "" {
		why = append(why, text)
	}
	for _, p := range s.Providers {
		if p.Stuck {
			why = append(why, "the refresh loop of "+p.Name+" is stuck: it sleeps past an account that is due")
		}
	}
	return why
}

// unready is what is still to come, and what only a person brings.
func unready(s control.Status, now time.Time) (why []string) {
	parked := map[string]bool{}
	for _, p := range s.Providers {
		parked[p.Name] = p.State == control.ProviderParked
		if p.Unanswered {
			why = append(why, "provider "+p.Name+" has not answered yet")
		}
	}
	for _, a := range s.Accounts {
		lacks := lack(a, now)
		if lacks == "" {
			continue
		}
		if todo := mends(a, parked[a.Provider], s.Machine.Other); todo != "" {
			why = append(why, fmt.Sprintf("%s %s: %s", a.Name, lacks, todo))
		}
	}
	return why
}

// mends is what a person has to do so that an account gets a valid token; "": nothing,
// as far as anybody knows.
func mends(a control.Account, parked, otherMachine bool) string {
	switch {
	case otherMachine:
		return "the store is another machine's; see tokenkeeper status"
	case a.Advice != "":
		return a.Advice
	case parked:
		return "its provider is parked; see tokenkeeper status"
	case a.State == control.AccountPaused:
		return "let it go on with: tokenkeeper resume " + a.Name
	case a.Waiting.TakesPerson():
		return a.Waiting.Text() + "; see tokenkeeper status " + a.Name
	case a.LastKind == sdk.KindInvalidClient:
		return "the broker does not take its client; mend client_id and client_secret"
	}
	return ""
}

// few are the first of all, and a line that counts the others.
func few(all []string) []string {
	if len(all) <= mostReasons {
		return all
	}
	return append(all[:mostReasons:mostReasons], fmt.Sprintf("%d more", len(all)-mostReasons))
}
