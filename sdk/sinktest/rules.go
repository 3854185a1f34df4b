package sinktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
)

// soon is how fast a call has to return once its context has ended.
const soon = 5 * time.Second

func testDescribe(t *testing.T, s *tested) {
	d := s.description
	if !sdk.ValidName(d.Name) {
		t.Errorf("Name is %q, want one that matches [a-z0-9][a-z0-9_-]*", d.Name)
	}
	if d.Version == "" {
		t.Error("Version is empty: nobody can tell which one runs")
	}
	known := map[string]bool{}
	for _, setting := range d.Settings {
		switch {
		case setting.Name == "" || known[setting.Name]:
			t.Errorf("the setting %q has no name, or the name of another", setting.Name)
		case setting.Description == "":
			t.Errorf("the setting %q has no description", setting.Name)
		case setting.Required && setting.Default != "":
			t.Errorf("the setting %q is required and has a default", setting.Name)
		case setting.Default != "" && len(setting.OneOf) > 0 && !slices.Contains(setting.OneOf, setting.Default):
			t.Errorf("the default of the setting %q is not among its values", setting.Name)
		case setting.Secret && (setting.Default != "" || len(setting.OneOf) > 0):
			t.Errorf("the setting %q is a secret, and its description shows values of it", setting.Name)
		}
		known[setting.Name] = true
	}
	for name := range s.Settings(t) {
		if !known[name] {
			t.Errorf("the setting %q is used and not described: the supervisor would refuse it", name)
		}
	}
	again, err := s.sink.DescribeSink(t.Context())
	if err != nil || !reflect.DeepEqual(again, d) {
		t.Errorf("the second answer differs: %+v, %v", again, err)
	}
}

// Whoever forgets a setting is told which one.
func testRequiredSettings(t *testing.T, s *tested) {
	for _, setting := range s.description.Settings {
		if !setting.Required {
			continue
		}
		settings := maps.Clone(s.Settings(t))
		delete(settings, setting.Name)
		err := s.sink.Deliver(t.Context(), request(settings, "main", 1))
		if err == nil || !strings.Contains(err.Error(), setting.Name) {
			t.Errorf("without the required setting %q: %v; want an error that names it", setting.Name, err)
		}
		s.tells(t, err)
	}
}

// deliver is a delivery that must succeed and arrive.
func (s *tested) deliver(t *testing.T, r sdk.DeliverRequest) {
	t.Helper()
	if err := s.sink.Deliver(t.Context(), r); err != nil {
		t.Fatalf("version %d of account %s: %v", r.Version, r.Account, err)
	}
	s.holds(t, r.Settings, r.Account, int(r.Version))
}

// holds fails the test unless the destination holds that version of the
// account, and no other.
func (s *tested) holds(t *testing.T, settings sdk.Settings, account string, version int) {
	t.Helper()
	if s.Stored == nil {
		return
	}
	stored := s.Stored(t, settings, account)
	if !strings.Contains(stored, accessToken(account, version)) {
		t.Errorf("the destination does not hold version %d of account %s although the delivery succeeded", version, account)
	}
	for other := range 10 {
		if other != version && strings.Contains(stored, accessToken(account, other)) {
			t.Errorf("the destination holds version %d of account %s, want %d", other, account, version)
		}
	}
}

func testDeliver(t *testing.T, s *tested) {
	settings := s.Settings(t)
	for version := 1; version <= 3; version++ {
		s.deliver(t, request(settings, "main", version))
	}
	s.deliver(t, request(settings, "a-b_c0", 1))
	s.holds(t, settings, "main", 3)
}

// A restart of the supervisor between a delivery and its note brings the same
// version with the same ID again.
func testSameAgain(t *testing.T, s *tested) {
	settings := s.Settings(t)
	for range 3 {
		s.deliver(t, request(settings, "main", 1))
	}
	s.deliver(t, request(settings, "main", 2))
	s.deliver(t, request(settings, "main", 2))
}

// What may not be seen is not in the request, and nothing else puts it there.
func testAccessTokenOnly(t *testing.T, s *tested) {
	settings := s.Settings(t)
	s.deliver(t, request(settings, "other", 1))
	s.deliver(t, bare(settings, "main", 1))
	if s.Stored != nil && strings.Contains(s.Stored(t, settings, "main"), "refresh-"+canary) {
		t.Error("a refresh token is stored for an account whose delivery had none")
	}
}

func testConcurrent(t *testing.T, s *tested) {
	settings := s.Settings(t)
	const accounts, versions = 8, 3
	var all sync.WaitGroup
	for i := range accounts {
		all.Go(func() {
			for version := 1; version <= versions; version++ {
				if err := s.sink.Deliver(t.Context(), request(settings, fmt.Sprint("account", i), version)); err != nil {
					t.Errorf("version %d of account%d: %v", version, i, err)
				}
			}
		})
	}
	all.Wait()
	for i := range accounts {
		s.holds(t, settings, fmt.Sprint("account", i), versions)
	}
}

// beats are those of package waittest that take that long at least.
func beats(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// within calls f and fails the test if it does not return.
func within(t *testing.T, d time.Duration, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	late, cancel := waittest.Context(context.WithoutCancel(t.Context()), beats(d))
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-late.Done():
		t.Fatalf("did not return within %s after its context had ended", d)
		return nil
	}
}

func testContextEnded(t *testing.T, s *tested) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := within(t, soon, func() error { return s.sink.Deliver(ctx, request(s.Settings(t), "main", 1)) })
	if err == nil {
		t.Error("a delivery whose context had ended succeeded")
	}
	s.tells(t, err)
	s.returns(t)
}

// returns fails the test if the sink's code still runs: the caller is gone, and
// what hangs there piles up.
func (s *tested) returns(t *testing.T) {
	t.Helper()
	if s.drain == nil {
		return
	}
	_ = within(t, soon, func() error {
		if !s.drain() {
			t.Error("the sink's code did not return")
		}
		return nil
	})
}

func testHanging(t *testing.T, s *tested) {
	if s.Hanging == nil {
		t.Skip("the destination can't hang: Hanging is not set")
	}
	const deadline = 500 * time.Millisecond
	settings := s.Hanging(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	err := within(t, deadline+soon, func() error { return s.sink.Deliver(ctx, request(settings, "main", 1)) })
	if err == nil {
		t.Error("a delivery that was never answered succeeded")
	}
	s.tells(t, err)
	s.retried(t, err)
	if err := s.sink.Ping(t.Context()); err != nil {
		t.Errorf("the sink does not serve after that: %v", err)
	}
	s.returns(t)
}

// retried fails the test if the delivery worker would give up on err.
func (s *tested) retried(t *testing.T, err error) {
	t.Helper()
	for _, final := range []error{sdk.ErrGone, sdk.ErrRefused, sdk.ErrUnimplemented} {
		if errors.Is(err, final) {
			t.Errorf("%q is %q, and so would not be tried again", err, final)
		}
	}
}

func testMissing(t *testing.T, s *tested) {
	if s.Missing == nil {
		t.Skip("the destination can't be missing: Missing is not set")
	}
	settings := s.Missing(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	calls := map[string]func() error{
		"Deliver": func() error { return s.sink.Deliver(ctx, request(settings, "main", 1)) },
	}
	if s.description.Tester {
		calls["Test"] = func() error { return s.sink.Test(ctx, sdk.TestRequest{Settings: settings, Account: "main"}) }
	}
	if s.description.Notifier {
		calls["Notify"] = func() error { return s.sink.Notify(ctx, notice(settings, "raised")) }
	}
	for name, call := range calls {
		err := within(t, 10*time.Second+soon, call)
		if err == nil {
			t.Errorf("%s: a destination that is not there took it", name)
		}
		s.tells(t, err)
		s.retried(t, err)
	}
}
