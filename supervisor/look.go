package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// watched is what the watchdog looks at.
type watched struct {
	s *Supervisor
	// ready: every provider has answered or is parked. complained: it was said for
	// which accounts with a shared file nothing can be done.
	ready, complained bool
}

// Ready implements [watchdog.Watched]: every provider has answered or is parked.
// The store is open since New.
func (w *watched) Ready() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, m := range w.s.providers {
			<-m.Ready()
		}
	}()
	return done
}

// IsReady implements [watchdog.Watched].
func (w *watched) IsReady() {
	w.ready = true
	w.s.tellTokenless(false)
}

// Look implements [watchdog.Watched]: every refresh loop and the alerts look at the
// clocks, and the sinks at what they hold.
func (w *watched) Look(ctx context.Context) (progress bool) {
	s := w.s
	progress = true
	s.events.Nudge()
	for _, worker := range s.workers {
		worker.Look()
	}
	for name, k := range s.keepers {
		k.Look()
		if k.Stuck() { // told as an alert, and its plan made anew, by Look
			progress = false
			s.log.Error("a refresh loop is stuck; the watchdog is not fed", "provider", name)
		}
	}
	s.lookAtDisk()
	s.backUp(ctx)
	if w.ready && !w.complained {
		w.complained = true
		s.tellTokenless(true)
	}
	return progress
}

// LongestStop implements [watchdog.Watched]: it is the longest refresh, and some time
// for what follows from it.
func (w *watched) LongestStop() time.Duration {
	longest := time.Duration(0)
	for _, a := range w.s.opts.Config.Accounts {
		longest = max(longest, a.Refresh.Timeout)
	}
	return longest + stopSlack
}

// stopSlack is what a stop may take beyond the deadline of a refresh that was
// sent.
const stopSlack = 15 * time.Second

// tellTokenless says in the log, in one line, for which accounts nothing can be
// done before a person does something: for those without a shared file, or with
// one, in which their first token may stand that was not looked for yet.
func (s *Supervisor) tellTokenless(shared bool) {
	var names []string
	for name, c := range s.opts.Config.Accounts {
		if st, _ := s.keepers[c.Provider].Status(name); st.State == refresh.New && !s.mints(c.Provider) && shared == (c.SharedFile != nil) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	slices.Sort(names)
	const most = 10
	some := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		some += fmt.Sprintf(" and %d more", more)
	}
	first, _ := s.keepers[s.opts.Config.Accounts[names[0]].Provider].Status(names[0])
	s.log.Warn(fmt.Sprintf("no token yet of: %s; %s", some, first.Advice()), "accounts", len(names))
}

// mints says whether a provider gets tokens by itself for accounts that have none.
func (s *Supervisor) mints(provider string) bool {
	m, ok := s.providers[provider]
	return ok && m.Status().Description.Minter
}
