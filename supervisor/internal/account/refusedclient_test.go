package account

import (
	"testing"
	"time"
)

// What was sent with a client that was refused is sent again by itself only with other
// secrets, or where that can't have used it up: at once, and then as any other.
func TestReplayAfterARefusedClient(t *testing.T) {
	in := unknownIntent("a0")
	in.ClientRefused = "the list of then"
	once, twice := in, in
	twice.Sends = 2
	same := Terms{Timeout: 30 * time.Second, Grace: time.Minute, SameSecrets: true}
	other := same
	other.SameSecrets, other.Grace = false, 0
	for name, tt := range map[string]struct {
		state State
		terms Terms
		after time.Duration // begun; negative: never
	}{
		"the same secrets":          {State{Standing: StandingOf(record(3, "ours")), Attempt: Attempt{Unknown{Intent: once}}}, same, -1},
		"the same, tried again":     {State{Standing: StandingOf(record(3, "ours")), Attempt: Attempt{Unknown{Intent: twice}}}, same, -1},
		"others":                    {State{Standing: StandingOf(record(3, "ours")), Attempt: Attempt{Unknown{Intent: once}}}, other, 0},
		"others, which failed, too": {State{Standing: StandingOf(record(3, "ours")), Attempt: Attempt{Unknown{Intent: twice}}}, other, replayFirst},
	} {
		at, _ := tt.state.At(tt.terms, now).Replay()
		if want := begun.Add(tt.after); tt.after < 0 && !at.IsZero() || tt.after >= 0 && !at.Equal(want) {
			t.Errorf("%s: again at %s", name, at)
		}
		does, ok := tt.state.At(tt.terms, now).spend(true, true, time.Time{})
		if does != Announce || !ok {
			t.Errorf("%s, and somebody insists: %s, %t", name, does, ok)
		}
	}
}
