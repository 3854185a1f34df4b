package brokersim

import (
	"hash/fnv"
	"math/rand/v2"
)

// chaos picks faults at random.
type chaos struct {
	seed        uint64
	probability float64
	faults      []Fault
}

// Chaos lets each token request that meets no queued fault meet one of faults
// with the given probability. The choice depends on seed, account and the
// number of the account's request alone, so that a run is repeated by its seed
// however the requests of different accounts interleave. Probability 0 ends
// it. Fault.Times does not count here, and a Gate can't be used.
func (s *faultQueue) Chaos(seed uint64, probability float64, faults ...Fault) {
	s.counted.mu.Lock()
	defer s.counted.mu.Unlock()
	s.chaos = chaos{seed: seed, probability: probability, faults: faults}
}

func (c chaos) pick(req Request) *Fault {
	if c.probability <= 0 || len(c.faults) == 0 {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte(req.Account))
	rnd := rand.New(rand.NewPCG(c.seed, h.Sum64()+uint64(req.Number)))
	if rnd.Float64() >= c.probability {
		return nil
	}
	if f := &c.faults[rnd.IntN(len(c.faults))]; f.fits(req) {
		return f
	}
	return nil
}
