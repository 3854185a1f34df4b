package supervisor

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/orphans"
	"github.com/tokenkeeper/tokenkeeper/supervisor/verdict"
)

// watched is what the watchdog looks at.
type watched struct {
	s *Supervisor
	// ready: every provider has answered or is parked. complained: it was said for
	// which accounts with a shared file nothing can be done.
	ready, complained bool
	orphans           *orphans.Reaper
}

// Ready implements [watchdog.Watched]: every provider has answered or is parked.
// The store is open since New.
func (w *watched) Ready() <-chan struct{} { return w.s.ready() }

// ready closes when every provider has answered or is parked.
func (s *Supervisor) ready() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, m := range s.roster.Now().Members {
			<-m.Ready()
		}
	}()
	return done
}

// trouble is what is wrong, for the service that waits for the heartbeat: by the same
// judgement as that of "tokenkeeper status --check".
func (s *Supervisor) trouble(ctx context.Context) string {
	st, err := s.backend().Status(ctx)
	if err != nil {
		return "the supervisor can't say how it is: " + err.Error()
	}
	return verdict.Of(st, st.Now).Trouble()
}

// IsReady implements [watchdog.Watched].
func (w *watched) IsReady() {
	w.ready = true
	w.s.survey.TellTokenless(false, w.s.log)
}

// Look implements [watchdog.Watched]: every refresh loop and the alerts look at the
// clocks, and the sinks at what they hold.
func (w *watched) Look() (progress bool) {
	s := w.s
	progress = true
	w.orphans.Look(time.Now())
	s.events.Nudge()
	for _, worker := range s.roster.Now().Workers {
		worker.Look()
	}
	for name, k := range s.roster.Now().Keepers {
		k.Look()
		if k.Stuck() { // told as an alert, and its plan made anew, by Look
			progress = false
			s.log.Error("a refresh loop is stuck; the watchdog is not fed", "provider", name)
		}
	}
	if w.ready && !w.complained {
		w.complained = true
		s.survey.TellTokenless(true, s.log)
	}
	return progress
}

// LookAtDisk implements [watchdog.Watched]: the state directory is looked at, and
// backed up once a day, while the watchdog goes on.
func (w *watched) LookAtDisk(ctx context.Context) {
	w.s.dir.Look(ctx, func() {
		w.s.door.Look(w.s.log)
		if w.s.metrics != nil {
			w.s.metrics.Look()
		}
		w.s.program.Look(w.s.log)
		for _, m := range w.s.roster.Now().Members {
			m.Look()
		}
		for _, p := range w.s.roster.Now().Plugins {
			p.Look()
		}
		if looked := w.s.opts.Looked; looked != nil {
			looked()
		}
	})
}

// Standing implements [watchdog.Watched]: the accounts, and how many alerts there are.
func (w *watched) Standing() string {
	text := w.s.survey.Standing()
	if w.s.observed != nil {
		text = "only observes, nobody keeps the tokens; " + text
	}
	if n := w.s.alerts.Lasting(); n > 0 {
		text += fmt.Sprintf("; alerts: %d (tokenkeeper alerts)", n)
	}
	return text
}

// Awaited implements [watchdog.Watched]: the answers to what was sent.
func (w *watched) Awaited() string { return w.s.survey.Awaited() }

// LongestStop implements [watchdog.Watched]: it is the longest refresh, and some time
// for what follows from it.
func (w *watched) LongestStop() time.Duration { return LongestStop(w.s.roster.Now().Config) }

// LongestStop is how long a stop may take with a configuration, so that what was sent is
// heard out. It is as long after a crash, when a service manager goes by its own time.
func LongestStop(cfg *config.Config) time.Duration {
	return longestRefresh(maps.Values(cfg.Accounts)) + stopSlack
}

// longestRefresh is how long a refresh of these accounts may take.
func longestRefresh(accounts iter.Seq[config.Account]) (longest time.Duration) {
	for a := range accounts {
		longest = max(longest, a.Refresh.Timeout)
	}
	return longest
}

// stopSlack is what a stop may take beyond the deadline of a refresh that was
// sent.
const stopSlack = 15 * time.Second
