package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// lookEvery is how often the clocks are compared. One timer serves all
// providers, so that an idle supervisor wakes twice a minute.
const lookEvery = 30 * time.Second

// watch reports readiness and life to the service manager, and looks at the
// clocks. The watchdog is only fed while every refresh loop makes progress.
func (s *Supervisor) watch(ctx context.Context) error {
	ready := s.ready()
	every := lookEvery
	if limit, err := daemon.SdWatchdogEnabled(false); err == nil && limit > 0 {
		every = min(every, limit/2)
	}
	look := s.looks(ctx, every)
	tokenless := false // it was said of the accounts that have a shared file
	for {
		select {
		case <-ctx.Done():
			s.notify(daemon.SdNotifyStopping)
			// However short the time is that the service manager was given for
			// a stop: a refresh that was sent is heard out.
			s.notify(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", s.longestStop().Microseconds()))
			return nil
		case <-ready:
			ready = nil
			s.log.Info("tokenkeeper is ready")
			s.tellTokenless(false)
			s.notify(daemon.SdNotifyReady)
		case <-look:
			if s.lookAround() {
				s.notify(daemon.SdNotifyWatchdog)
			}
			s.lookAtDisk()
			s.backUp(ctx)
			if ready == nil && !tokenless {
				s.tellTokenless(true)
				tokenless = true
			}
		}
	}
}

// looks returns a channel that gets a value at every moment to look, until ctx
// ends. The system's clock also tells when it was set.
func (s *Supervisor) looks(ctx context.Context, every time.Duration) <-chan time.Time {
	if s.systemClock {
		a, err := newAlarm(every)
		if err == nil {
			return a.ticks(ctx)
		}
		s.log.Warn("the kernel can't tell when the clock is set; it is looked at all the same", "every", every, "error", err)
	}
	ticker := time.NewTicker(every)
	context.AfterFunc(ctx, ticker.Stop)
	return ticker.C
}

// ready returns a channel that closes when every provider has answered or is
// parked; the store is open since New.
func (s *Supervisor) ready() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, m := range s.providers {
			<-m.Ready()
		}
	}()
	return done
}

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

// lookAround lets every refresh loop and the alerts look at the clocks, and the
// sinks at what they hold. It says whether all loops make progress.
func (s *Supervisor) lookAround() bool {
	progress := true
	s.events.Nudge()
	for _, w := range s.workers {
		w.Look()
	}
	for name, k := range s.keepers {
		k.Look()
		if k.Stuck() { // told as an alert, and its plan made anew, by Look
			progress = false
			s.log.Error("a refresh loop is stuck; the watchdog is not fed", "provider", name)
		}
	}
	return progress
}

// longestStop is how long a stop may take: the longest refresh, and some time
// for what follows from it.
func (s *Supervisor) longestStop() time.Duration {
	longest := time.Duration(0)
	for _, a := range s.opts.Config.Accounts {
		longest = max(longest, a.Refresh.Timeout)
	}
	return longest + StopSlack
}

// StopSlack is what a stop may take beyond the deadline of a refresh that was
// sent.
const StopSlack = 15 * time.Second

func (s *Supervisor) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("the service manager could not be told", "state", state, "error", err)
	}
}
