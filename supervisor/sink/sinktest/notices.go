package sinktest

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// noticeText is in the message of the suite's notices.
func noticeText(account string, version uint64) string {
	return fmt.Sprintf("notice-of-%s-%d-end", account, version)
}

// Alert is a notice of an alert that has been raised.
func Alert(account string, version uint64) sink.Notice {
	now := time.Now().Truncate(time.Second)
	return sink.Notice{
		ID: fmt.Sprintf("msg_alert_%s_%d", account, version), Kind: sink.KindAlert,
		Alert: &event.Alert{
			Key: "needs_login:" + account, Type: event.NeedsLogin, State: event.AlertRaised, Version: version,
			Account: account, Provider: "broker", Message: noticeText(account, version), Since: now.Add(-time.Minute), ChangedAt: now,
		},
	}
}

// Lifecycle is a notice of something that happened.
func Lifecycle(account string, version uint64) sink.Notice {
	return sink.Notice{
		ID: fmt.Sprintf("msg_lifecycle_%s_%d", account, version), Kind: sink.KindLifecycle,
		Event: &event.Event{
			Seq: version, Time: time.Now().Truncate(time.Second), Type: event.Refreshed,
			Account: account, Provider: "broker", Version: version, Message: noticeText(account, version),
		},
	}
}

// notices: each kind arrives, brings no secret along, and keeps the rules of
// Deliver.
func (s Suite) notices(t *testing.T) {
	d := s.New(t)
	n := d.Sink.(sink.Notifier)
	recovered := Alert("d", 4)
	recovered.Alert.State = event.AlertRecovered
	marked := Alert("e", 5)
	marked.Test = true
	all := map[string]sink.Notice{"a": Alert("a", 1), "b": Lifecycle("b", 2), "d": recovered, "e": marked}

	if _, never := s.Never[Appearing]; !never {
		err := within(t, d.Timeout+soon, func() error { return n.Notify(t.Context(), all["a"]) })
		if err == nil {
			t.Error("a notice to a missing destination succeeded")
		}
		AssertNoSecret(t, err)
	}
	d.Appear(t)
	for account, notice := range all {
		if err := d.patient(t, func() error { return n.Notify(t.Context(), notice) }); err != nil {
			t.Errorf("%s: %v", notice.ID, err)
			continue
		}
		text := noticeText(account, version(notice))
		if !s.eventually(func() bool { return contains(d.Received(t), text) }) {
			t.Fatalf("%s did not arrive", notice.ID)
		}
	}
	if tells(strings.Join(d.Received(t), "\n")) {
		t.Error("a secret arrived with a notice")
	}
	if d.Hang != nil {
		d.Hang(t)
		retried(t, within(t, d.Timeout+soon, func() error { return n.Notify(t.Context(), all["a"]) }))
	}
}

func version(n sink.Notice) uint64 {
	if n.Alert != nil {
		return n.Alert.Version
	}
	return n.Event.Version
}

var anyToken = regexp.MustCompile(`(access|refresh)-` + canary + `-[a-z0-9]*-[0-9]*\.`)

// test: it says what it tried, fails where a delivery would, and gives nobody a
// token that is not the newest.
func (s Suite) test(t *testing.T) {
	d := s.New(t)
	tester := d.Sink.(sink.Tester)
	if _, never := s.Never[Appearing]; !never {
		done, err := tester.Test(t.Context(), Full("acct", 1))
		if err == nil {
			t.Errorf("a test of a missing destination succeeded: %s", done)
		}
		AssertNoSecret(t, err)
	}
	d.Appear(t)
	s.sent(t, d, "acct", 1)
	s.arrived(t, d, "acct", 1, 0)
	before := strings.Join(d.Received(t), "\n")
	var done string
	err := d.patient(t, func() (err error) {
		done, err = tester.Test(t.Context(), Full("acct", 2))
		return err
	})
	if err != nil {
		t.Errorf("a test of a destination that works: %v", err)
	}
	if done == "" || tells(done) {
		t.Errorf("it says that it tried %q", done)
	}
	got := strings.Join(d.Received(t), "\n")
	for _, token := range anyToken.FindAllString(strings.TrimPrefix(got, before), -1) {
		if token != accessToken("acct", 2) && token != refreshToken("acct", 2) {
			if !strings.Contains(before, token) {
				t.Error("a test brought a token that is not the newest")
			}
		}
	}
	// A test that hands the token over must not be what a later delivery is
	// compared with.
	count := len(d.Received(t))
	s.sent(t, d, "acct", 3)
	s.arrived(t, d, "acct", 3, count)
	if d.Hang != nil {
		d.Hang(t)
		_ = within(t, d.Timeout+soon, func() error {
			_, err := tester.Test(t.Context(), Full("acct", 3))
			AssertNoSecret(t, err)
			return err
		})
	}
}
