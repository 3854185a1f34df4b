package alert

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

func TestGroupText(t *testing.T) {
	cs := conditions{}
	cs.add(Condition{Type: event.NeedsLogin, Account: "bot-1", Cause: "account bot-1 was refused"})
	for _, of := range []event.Type{
		event.RefreshFailing, event.NeedsLogin, event.LoginDueSoon, event.Ambiguous, event.RivalRefresher, event.StoreRestored,
	} {
		l := lot{of, "schwab"}
		text := l.lasting([]string{"c", "bot-1", "a"}, 9, 1, cs)
		if !strings.HasPrefix(text, "3 of 9 accounts at schwab ") || !strings.Contains(text, "; of 1 other it is not known yet") ||
			strings.Contains(text, words(of)) || strings.Contains(text, "first error: an account was refused") != (of == event.NeedsLogin) || strings.Contains(text, "bot-1") {
			t.Errorf("%s: %q", of, text)
		}
		if !strings.HasSuffix(l.todo(), "run: tokenkeeper alerts") {
			t.Errorf("%s: %q", of, l.todo())
		}
	}
	if text := (lot{event.NeedsLogin, "saxo"}).ended(11, 1, false); text != "needs login at saxo: 11 accounts had this trouble, and 1 still has it, with an alert of its own" {
		t.Errorf("%q", text)
	}
}

func TestFirstOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching("[a-c]{1,3}")).Draw(t, "names")
		got := firstOf(names, 3)
		slices.Sort(names)
		if want := names[:min(3, len(names))]; !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}
