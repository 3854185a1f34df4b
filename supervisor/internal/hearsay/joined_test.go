package hearsay

import (
	"strings"
	"testing"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
)

// splits are the secrets of these tests: of letters that stand nowhere else.
var splits = []string{"Q7Z9X8", "Q7Z9X8Q6Z5X4", "Q7Z9X8Q6Z5X4W9Q8Z7X6W5Q", "Q7Z9X8Q6Z5X4W9Q8Z7X6W5Q4Z3X2W1Q0Z9"}

// leaks says whether a text holds a letter of them.
func leaks(text string) bool { return strings.ContainsAny(text, "QZXW0123456789") }

// A secret of any length that is split anywhere is taken out as a whole: over the
// lines of one text, and over the texts of one message. Of one that goes on in
// another line of a stream the rest is.
func TestSecretThatIsSplit(t *testing.T) {
	for _, secret := range splits {
		for at := 1; at < len(secret); at++ {
			checkSplit(t, secret, at, "said ", " so", "\n")
			checkSplit(t, secret, at, "", "", " \n\t ")
		}
	}
}

func checkSplit(t *testing.T, secret string, at int, before, behind, gap string) {
	t.Helper()
	s := told(secret)
	one, two := before+secret[:at], secret[at:]+behind
	if got := s.Clean(one+gap+two, Sentence); leaks(got) {
		t.Errorf("%q + %q in one text: %q", one, two, got)
	}
	if mid := (at + 1) / 2; mid > 0 && mid < at {
		if got := s.Clean(before+secret[:mid]+gap+secret[mid:at]+gap+two, Sentence); leaks(got) {
			t.Errorf("over three lines: %q", got)
		}
	}
	m := &provider.Failure{Message: one, OauthError: two}
	s.cleanMessage(m.ProtoReflect())
	if leaks(m.GetMessage() + m.GetOauthError()) {
		t.Errorf("%q + %q in one message: %q, %q", one, two, m.GetMessage(), m.GetOauthError())
	}
	list := &provider.Setting{Name: "name", OneOf: []string{one, two}}
	s.cleanMessage(list.ProtoReflect())
	if leaks(strings.Join(list.GetOneOf(), "")) {
		t.Errorf("%q + %q in one list: %q", one, two, list.GetOneOf())
	}
	if half := (len(secret) + 1) / 2; len(secret) >= 11 && at >= half {
		if got := s.Clean(one, Sentence); leaks(got) {
			t.Errorf("%q at the end of a line: %q", one, got)
		}
	}
	if got := s.CleanTogether([]string{End("before\n" + one)}, []string{two}, Sentence)[0]; leaks(got) {
		t.Errorf("%q after %q: %q", two, one, got)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(uint8(1), uint8(3), "said ", " so", false)
	f.Add(uint8(2), uint8(30), "", "", true)
	f.Fuzz(func(t *testing.T, which, at uint8, before, behind string, wide bool) {
		secret, gap := splits[int(which)%len(splits)], "\n"
		if wide {
			gap = "\n \t"
		}
		if leaks(before+behind) || leaks(visible(before+behind)) || strings.ContainsAny(before+behind, "%&\\+") {
			t.Skip("what stands around it is, or looks like, a secret itself")
		}
		checkSplit(t, secret, 1+int(at)%(len(secret)-1), before+" ", " "+behind, gap)
	})
}

// A secret that is split over the texts that are told together is taken out of each,
// and the rest of one that has begun before.
func TestSecretThatIsToldTogether(t *testing.T) {
	for _, secret := range splits {
		s := told(secret)
		for at := 1; at+1 < len(secret); at++ {
			parts := []string{"said", secret[:1], secret[1:at] + secret[at:at+1], secret[at+1:], "so"}
			if got := s.CleanTogether(nil, parts, Sentence); leaks(strings.Join(got, "")) || got[0] != "said" || got[4] != "so" {
				t.Errorf("%q became %q", parts, got)
			}
			if got := s.CleanTogether([]string{"other", "before " + secret[:at]}, []string{secret[at : at+1], secret[at+1:] + " so"}, Sentence); leaks(strings.Join(got, "")) {
				t.Errorf("cut at %d, the rest became %q", at, got)
			}
		}
	}
}

// What follows each other by chance stays.
func TestLinesThatLookLikeASecretTogether(t *testing.T) {
	s := told(append(canaries, "correct-horses-1", "x9-0123456789abc")...)
	for _, text := range []string{"this is correct-horses", "is x9-01234 of many", "and x9-0123"} {
		if got := s.Clean(text, Sentence); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	if got := s.CleanTogether([]string{"has no refresh_token:"}, []string{"tried again later"}, Sentence)[0]; got != "tried again later" {
		t.Errorf("became %q", got)
	}
	m := &provider.Failure{Message: "the client's password=", OauthError: "invalid_client"}
	s.cleanMessage(m.ProtoReflect())
	if m.GetOauthError() != "invalid_client" {
		t.Errorf("became %q", m.GetOauthError())
	}
}
