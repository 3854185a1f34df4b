package refresh

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Measured is what this run of the supervisor has seen of a provider's attempts.
type Measured struct {
	// Ended are the attempts that have ended, by what they were and what came of them.
	Ended map[Outcome]uint64
	// Took is for how many seconds they were under way, and Late how many seconds after
	// its moment an account had its turn.
	Took, Late Spread
}

// Outcome is what an attempt was, a refresh for example, and what came of it: "ok", or
// the kind of the failure.
type Outcome struct{ Act, Result string }

// Results that are no kind of a failure.
const (
	resultOK   = "ok"
	resultLost = "lost" // the provider's process has ended, or was not reached
)

// Spread is how many values there were, and how many of them were no larger than each of
// some bounds.
type Spread struct {
	Bounds []float64
	Within []uint64
	Count  uint64
	Sum    float64
}

func newMeasured() Measured {
	spread := func(bounds ...float64) Spread { return Spread{Bounds: bounds, Within: make([]uint64, len(bounds))} }
	return Measured{
		Ended: map[Outcome]uint64{},
		Took:  spread(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
		Late:  spread(1, 5, 15, 30, 60, 300, 900, 3600),
	}
}

func (s *Spread) saw(value float64) {
	s.Count++
	s.Sum += value
	for i, bound := range s.Bounds {
		if value <= bound {
			s.Within[i]++
		}
	}
}

func (s Spread) clone() Spread {
	s.Within = slices.Clone(s.Within)
	return s
}

// Measured returns what was seen until now.
func (k *Keeper) Measured() Measured {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.measured
	return Measured{Ended: maps.Clone(m.Ended), Took: m.Took.clone(), Late: m.Late.clone()}
}

// took notes for how long an attempt was under way, and what came of it.
func (k *Keeper) took(begun time.Time, act string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	took := time.Since(begun)
	k.load.pace.Saw(took)
	k.measured.Took.saw(took.Seconds())
	k.measured.Ended[Outcome{act, resultOf(err)}]++
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return resultOK
	case errors.Is(err, sdk.ErrConnection):
		return resultLost
	}
	return string(sdk.KindOf(err))
}
