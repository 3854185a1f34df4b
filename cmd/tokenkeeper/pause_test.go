package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// pausedBy is whom no machine knows.
var pausedBy = event.Caller{UID: 4000000000, PID: 7, Program: "/usr/bin/tokenkeeper"}

func (f *fake) Pause(_ context.Context, req control.PauseRequest) (control.PauseAnswer, error) {
	a := control.PauseAnswer{Account: req.Account, Pause: control.Pause{Since: now, By: pausedBy, Reason: req.Reason}}
	if req.For > 0 {
		a.Pause.Until = now.Add(req.For)
	}
	switch req.Account {
	case "nope":
		return a, control.Errorf(control.CodeNotFound, `no account is named "nope"`)
	case "again":
		a.Already, a.Pause.Since = true, now.Add(-3*time.Hour)
	case "busy":
		a.InFlight = true
	}
	return a, nil
}

func (f *fake) PauseAll(ctx context.Context, req control.PauseRequest) (control.PauseAnswers, error) {
	var all control.PauseAnswers
	for n := range 12 {
		req.Account = fmt.Sprint("a", n)
		if n == 3 {
			req.Account = "again"
		}
		one, _ := f.Pause(ctx, req)
		all.Accounts = append(all.Accounts, one)
	}
	return all, nil
}

func (f *fake) Resume(_ context.Context, account string, _ event.Caller) (control.ResumeAnswer, error) {
	a := control.ResumeAnswer{Account: account}
	switch account {
	case "nope":
		return a, control.Errorf(control.CodeNotFound, `no account is named "nope"`)
	case "again":
	case "late":
		a.Resumed, a.Due = true, now
	default:
		a.Resumed, a.Due = true, now.Add(25*time.Minute)
	}
	return a, nil
}

func (f *fake) ResumeAll(ctx context.Context, by event.Caller) (control.ResumeAnswers, error) {
	one, _ := f.Resume(ctx, "main", by)
	two, _ := f.Resume(ctx, "again", by)
	return control.ResumeAnswers{Accounts: []control.ResumeAnswer{one, two}}, nil
}

func TestPauseAndResume(t *testing.T) {
	socket, _, _ := serve(t, &fake{})
	const resume = "nothing is asked of its broker before "
	for _, tt := range []struct {
		args   []string
		code   int
		stdout string
		stderr []string
	}{
		{[]string{"pause", "main"}, 0, "main: paused: " + resume + "tokenkeeper resume main\n", nil},
		{[]string{"pause", "main", "--for", "2h"}, 0, "main: paused: " + resume + "16:20:00 in 2h, or tokenkeeper resume main\n", nil},
		{[]string{"pause", "busy", "main"}, 0, "busy: paused: " + resume + "tokenkeeper resume busy; what was sent before is heard out\nmain: paused: " + resume + "tokenkeeper resume main\n", nil},
		{[]string{"pause", "again", "--reason", "the broker moves"}, 0,
			"again: was paused already, since 11:20:00 3h ago by user 4000000000 with tokenkeeper (the broker moves): " + resume + "tokenkeeper resume again\n", nil},
		{[]string{"pause", "nope", "main"}, 1, "main: paused: " + resume + "tokenkeeper resume main\n", []string{`tokenkeeper: no account is named "nope"`}},
		{[]string{"pause", "--all"}, 0, "12 accounts are paused, 1 of them were before: nothing is asked of their brokers before tokenkeeper resume --all\n", nil},
		{[]string{"pause", "main", "--reason", "two\nlines"}, 1, "", []string{"the reason must be one line of at most 200 characters"}},
		{[]string{"pause", "main", "--for", "100000h"}, 1, "", []string{"a pause that is over by itself must be for a year at most"}},
		{[]string{"resume", "main", "late", "again"}, 0,
			"main: resumed; the next refresh is in 25m\nlate: resumed; the next refresh is due now\nagain: was not paused\n", nil},
		{[]string{"resume", "--all"}, 0, "main: resumed; the next refresh is in 25m\nagain: was not paused\n", nil},
		{[]string{"resume", "nope"}, 1, "", []string{`tokenkeeper: no account is named "nope"`}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			got := command(t, "", append(tt.args, "--socket", socket)...)
			got.stdout = oneLineEach(got.stdout)
			got.says(t, tt.code, tt.stdout, tt.stderr...)
		})
	}
	if got := decode[control.PauseAnswers](t, command(t, "", "pause", "main", "again", "--json", "--socket", socket).stdout); len(got.Accounts) != 2 || !got.Accounts[1].Already {
		t.Errorf("%+v", got)
	}
	if got := decode[control.ResumeAnswers](t, command(t, "", "resume", "again", "--json", "--socket", socket).stdout); len(got.Accounts) != 1 || got.Accounts[0].Resumed {
		t.Errorf("%+v", got)
	}
}

// oneLineEach is prose whose lines were broken, in one line for each of it.
func oneLineEach(text string) string {
	return strings.ReplaceAll(text, "\n  ", " ")
}

// Status says of a paused account by whom, since when and why, and how it goes on; and
// nothing else of a session of which nothing is asked.
func TestStatusOfAPausedAccount(t *testing.T) {
	s := sampleStatus()
	s.Accounts = s.Accounts[1:2]
	a := &s.Accounts[0]
	a.State, a.Due, a.Session = control.AccountPaused, time.Time{}, &control.Session{Life: "alive", Heard: now.Add(-time.Hour)}
	a.Pause = &control.Pause{Since: now.Add(-time.Hour), By: pausedBy, Reason: "the broker moves"}
	a.Waiting, a.WaitingText = "paused", refresh.PauseText(*a.Pause)
	got := renderStatus(s, now, painter{}, textWidth)
	words := strings.Join(strings.Fields(got), " ")
	for _, want := range []string{
		"schwab-main paused v12", "18m ago -",
		"paused since 13:20:00 60m ago by user 4000000000 with tokenkeeper (the broker moves); nothing is asked of its broker before tokenkeeper resume schwab-main",
	} {
		if !strings.Contains(words, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, no := range []string{"waits:", "kept alive"} {
		if strings.Contains(words, no) {
			t.Errorf("%q is in\n%s", no, got)
		}
	}
}
