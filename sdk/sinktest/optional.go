package sinktest

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func testRestore(t *testing.T, s *tested) {
	settings := s.Settings(t)
	restore := func(account string) (sdk.Restored, error) {
		return s.sink.Restore(t.Context(), sdk.RestoreRequest{Sink: "tested", Settings: settings, Account: account, Provider: "broker"})
	}
	if !s.description.Restorer {
		if _, err := restore("main"); !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("it says that it is no Restorer, and Restore gives %v", err)
		}
		return
	}
	if _, err := restore("main"); !errors.Is(err, sdk.ErrNothingStored) {
		t.Fatalf("before the first delivery: %v, want %v", err, sdk.ErrNothingStored)
	}
	began := time.Now().Add(-time.Minute)
	for version := 1; version <= 3; version++ {
		s.deliver(t, request(settings, "main", version))
	}
	s.deliver(t, request(settings, "other", 5))
	for account, version := range map[string]int{"main": 3, "other": 5} {
		r, err := restore(account)
		if err != nil {
			t.Errorf("account %s: %v", account, err)
			continue
		}
		content := r.Content.Reveal()
		if !strings.Contains(content, accessToken(account, version)) || !strings.Contains(content, refreshToken(account, version)) {
			t.Errorf("account %s: what is given back is not version %d", account, version)
		}
		if !r.StoredAt.IsZero() && (r.StoredAt.Before(began) || r.StoredAt.After(time.Now().Add(time.Hour))) {
			t.Errorf("account %s: StoredAt is %s", account, r.StoredAt)
		}
	}
	if _, err := restore("nobody"); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("of an account that it never had: %v, want %v", err, sdk.ErrNothingStored)
	}
}

// What the destination holds is told by its version, and nothing is changed by
// asking for it.
func testHolds(t *testing.T, s *tested) {
	settings := s.Settings(t)
	holds := func(account string, version uint64) (sdk.Holding, error) {
		h, err := s.sink.Holds(t.Context(), sdk.HoldsRequest{
			Sink: "tested", Settings: settings, Account: account, Provider: "broker", Version: version, DeliveredAt: time.Now(),
		})
		s.tells(t, err)
		return h, err
	}
	if !s.description.Holder {
		if _, err := holds("main", 1); !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("it says that it is no Holder, and Holds gives %v", err)
		}
		return
	}
	if h, err := holds("main", 1); !errors.Is(err, sdk.ErrNothingStored) {
		t.Fatalf("before the first delivery: %+v, %v, want %v", h, err, sdk.ErrNothingStored)
	}
	for version := 1; version <= 3; version++ {
		s.deliver(t, request(settings, "main", version))
		for range 2 {
			if h, err := holds("main", uint64(version)); err != nil || h.Version != uint64(version) {
				t.Errorf("after the delivery of version %d: %+v, %v", version, h, err)
			}
			s.holds(t, settings, "main", version)
		}
	}
	// What it was thought to hold is not what it is asked for.
	if h, err := holds("main", 7); err != nil || h.Version != 3 {
		t.Errorf("asked by whoever thinks that it holds version 7: %+v, %v; want 3", h, err)
	}
	if h, err := holds("nobody", 1); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("of an account that it never had: %+v, %v, want %v", h, err, sdk.ErrNothingStored)
	}
	if s.Lose == nil {
		return
	}
	s.Lose(t, settings)
	if h, err := holds("main", 3); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("after it has lost everything: %+v, %v, want %v", h, err, sdk.ErrNothingStored)
	}
	s.deliver(t, request(settings, "main", 3))
	if h, err := holds("main", 3); err != nil || h.Version != 3 {
		t.Errorf("after it was given back what it has lost: %+v, %v", h, err)
	}
}

// A test writes no token, and says whether the destination would take one.
func testTest(t *testing.T, s *tested) {
	settings := s.Settings(t)
	err := s.sink.Test(t.Context(), sdk.TestRequest{Sink: "tested", Settings: settings, Account: "main", Provider: "broker"})
	if !s.description.Tester {
		if !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("it says that it is no Tester, and Test gives %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("the test of a destination that is in order: %v", err)
	}
	if s.Stored != nil && s.Stored(t, settings, "main") != "" {
		t.Error("the test has stored something under the account's name")
	}
	s.deliver(t, request(settings, "main", 1))
	if err := s.sink.Test(t.Context(), sdk.TestRequest{Sink: "tested", Settings: settings, Account: "main", Provider: "broker"}); err != nil {
		t.Errorf("the test after a delivery: %v", err)
	}
	s.holds(t, settings, "main", 1)
}

func notice(settings sdk.Settings, state string) sdk.NotifyRequest {
	now := time.Now().Truncate(time.Second)
	return sdk.NotifyRequest{
		ID: "msg_alert_" + state, Sink: "tested", Settings: settings, Kind: "alert", Type: "needs_login", State: state,
		Account: "main", Provider: "broker", Message: "account main needs a login", Since: now.Add(-time.Minute), Time: now,
		Content: `{"key":"needs_login:main","type":"needs_login","state":"` + state + `","account":"main"}`,
	}
}

func testNotify(t *testing.T, s *tested) {
	settings := s.Settings(t)
	if !s.description.Notifier {
		if err := s.sink.Notify(t.Context(), notice(settings, "raised")); !errors.Is(err, sdk.ErrUnimplemented) {
			t.Errorf("it says that it is no Notifier, and Notify gives %v", err)
		}
		return
	}
	for _, state := range []string{"raised", "repeated", "repeated", "recovered"} {
		if err := s.sink.Notify(t.Context(), notice(settings, state)); err != nil {
			t.Errorf("an alert that is %s: %v", state, err)
		}
	}
	event := notice(settings, "")
	event.ID, event.Kind, event.Type, event.Since = "msg_event", "lifecycle", "refreshed", time.Time{}
	if err := s.sink.Notify(t.Context(), event); err != nil {
		t.Errorf("a lifecycle event: %v", err)
	}
	if s.Stored != nil && s.Stored(t, settings, "main") != "" {
		t.Error("a notice is stored as the token of its account")
	}
}
