package alert

import (
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

func (k *Sink) condition(t event.Type) Condition { return Condition{Type: t, Sink: k.Name} }

// well is the end of a trouble that a delivery ends, which must be newer than
// the alert.
func (k *Sink) well(c Condition) Condition {
	c.Proof = k.LastDelivery
	return c.off("")
}

func (k *Sink) off(c Condition) Condition {
	return c.off(fmt.Sprintf("sink %s was disabled by a person, and gets nothing until somebody runs: tokenkeeper sinks enable %s", k.Name, k.Name))
}

// unknownToken is told at once: the destination may hold the only copy of a
// login.
func (k *Sink) unknownToken() Condition {
	c := k.condition(event.SinkGuarded)
	switch n := len(k.Unknown); {
	case n > 0:
		cause, todo, _ := strings.Cut(k.UnknownError, "; ")
		what := fmt.Sprintf("sink %s: %s", k.Name, cause)
		if n > 1 {
			what += fmt.Sprintf("; so it is with %d of its accounts: %s", n, some(k.Unknown))
		}
		return c.on(cause, what, todo)
	case k.Failing == 0 && k.Lag < sinkPatience && !k.LastDelivery.IsZero():
		return k.well(c)
	}
	return c
}

// failing counts not what the alert about unknown tokens says.
func (k *Sink) failing() Condition {
	c := k.condition(event.SinkFailing)
	n := k.Failing - len(k.Unknown)
	if k.Shut != "" {
		n--
	}
	switch {
	case k.Gone:
		// The other alert says what matters.
	case k.Off:
		return k.off(c)
	case n > 0 && (k.Lag >= sinkPatience || k.MaxFailures > 0 && k.InRow >= k.MaxFailures):
		missed := fmt.Sprintf("%d accounts or alerts", n)
		if n == 1 {
			missed = "1 account or alert"
		}
		return c.on("", fmt.Sprintf("sink %s has failed since %s, and misses the newest of %s%s",
			k.Name, moment.Stamp(k.Since), missed, lastError(k.LastError)), k.next(n))
	case k.Shut != "":
		return c.on(k.Shut, fmt.Sprintf("sink %s has taken no new consumers since %s: %s", k.Name, moment.Stamp(k.ShutSince), k.Shut),
			"it is tried again all the time; after mending it run: tokenkeeper sinks test "+k.Name)
	case n == 0 && (k.Lag < sinkPatience || len(k.Unknown) > 0) && !k.LastDelivery.IsZero():
		return k.well(c)
	}
	return c
}

// next is what happens to a sink that fails at so many, and what a person can do.
func (k *Sink) next(failing int) string {
	again := "; after mending it run: tokenkeeper sinks redeliver " + k.Name
	switch {
	case k.Hung > 0:
		return fmt.Sprintf("what does not answer is tried again once it does; look at the disk or the program that sinks.%s leads to", k.Name)
	case k.Refused == 0:
		return "it is tried again all the time; after mending it run: tokenkeeper sinks test " + k.Name
	case k.Refused < failing:
		return fmt.Sprintf("it has refused %d of them, of which only the next version is tried; the others are tried again all the time%s", k.Refused, again)
	case failing == 1:
		return "it has refused that version, which is not tried again: the next one is" + again
	}
	return "it has refused these versions, which are not tried again: the next ones are" + again
}

func (k *Sink) disabled() Condition {
	c := k.condition(event.SinkDisabled)
	switch {
	case k.Gone:
		return c.on("", fmt.Sprintf("sink %s is disabled: %s", k.Name, k.LastError),
			fmt.Sprintf("correct or remove sinks.%s in the configuration, or run: tokenkeeper sinks enable %s", k.Name, k.Name))
	case k.Off:
		return k.off(c)
	case !k.LastDelivery.IsZero():
		return k.well(c)
	}
	return c
}

// unmet is a consumer that has never come: maybe it looks elsewhere.
func (k *Sink) unmet() Condition {
	c := k.condition(event.SinkUnmet)
	switch {
	case k.Off:
		return k.off(c)
	case !k.LastDelivery.IsZero():
		return c.off("")
	case k.Waited >= unmetPatience:
		return c.on(k.AbsentBecause, fmt.Sprintf("sink %s: its consumer has never come, and a token has waited for it since %s: %s",
			k.Name, moment.Stamp(k.Since), k.AbsentBecause),
			fmt.Sprintf("start the consumer, or correct sinks.%s in the configuration; it gets its token as soon as it is there", k.Name))
	}
	return c
}

// away is a consumer that came once, and has not for days, while there is a token for
// it. Many a one is not there at night, and at weekends.
func (k *Sink) away(now time.Time) Condition {
	c := k.condition(event.SinkAway)
	switch {
	case k.Off:
		return k.off(c)
	case k.LastDelivery.IsZero(): // the alert about one that has never come says what matters
		return c
	case k.Waited >= unmetPatience && now.Sub(k.LastDelivery) >= awayPatience:
		return c.on(k.AbsentBecause, fmt.Sprintf("sink %s: its consumer has taken nothing since %s, and what it holds is long out of date: %s",
			k.Name, moment.Stamp(k.LastDelivery), k.AbsentBecause),
			fmt.Sprintf("start the consumer, which gets its token as soon as it is there, or remove sinks.%s from the configuration", k.Name))
	}
	return k.well(c)
}

// lastError ends a sentence with the reason, where one is known.
func lastError(reason string) string {
	if reason == "" {
		return ""
	}
	return "; the last error: " + reason
}
