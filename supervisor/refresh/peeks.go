package refresh

import (
	"sync"
	"sync/atomic"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
)

const (
	// mostPeeks are made at once.
	mostPeeks = 64
	// mostSilent are the files whose disk does not answer beside which there are no peeks
	// any more: what hangs there keeps a thread each, of which a process has so many.
	mostSilent = 1000
)

// peeks are the regular looks at the shared files, for where no notice of a change comes.
// A look at a disk that does not answer is given up after a while, and takes until then:
// so there is one at each file at most, and nobody waits for it, neither the other accounts
// nor whoever has to show that the supervisor lives. It is safe for concurrent use.
type peeks struct {
	sharing []*account
	touch   func(name string)
	slots   chan struct{}

	mu    sync.Mutex
	under map[*account]bool // way
}

func newPeeks(sharing []*account, touch func(name string)) *peeks {
	return &peeks{sharing: sharing, touch: touch, slots: make(chan struct{}, mostPeeks), under: map[*account]bool{}}
}

// all looks at every file at which nobody looks: an account whose file does not hold its
// newest token is touched. foresee: it is also asked what will stand in the way of
// writing the file.
func (p *peeks) all(foresee bool) {
	if len(p.sharing) == 0 {
		return
	}
	go func() {
		silent := p.silent()
		for _, a := range p.sharing {
			if silent.Load() >= mostSilent {
				return
			}
			if !p.begin(a) {
				continue
			}
			p.slots <- struct{}{}
			go func() {
				defer p.end(a)
				was := sharing.Silent(a.share)
				if a.share.Differs(a.rec(), a.compare) {
					p.touch(a.cfg.Name)
				}
				if !was && sharing.Silent(a.share) {
					silent.Add(1)
				}
				if foresee {
					a.share.Foresee()
				}
			}()
		}
	}()
}

// silent counts the files whose disk is known not to answer.
func (p *peeks) silent() *atomic.Int32 {
	n := &atomic.Int32{}
	for _, a := range p.sharing {
		if sharing.Silent(a.share) {
			n.Add(1)
		}
	}
	return n
}

// shares are those of all who have one.
func (p *peeks) shares() sharing.Shares {
	shares := make(sharing.Shares, len(p.sharing))
	for n, a := range p.sharing {
		shares[n] = a.share
	}
	return shares
}

func (p *peeks) begin(a *account) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.under[a] {
		return false
	}
	p.under[a] = true
	return true
}

func (p *peeks) end(a *account) {
	<-p.slots
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.under, a)
}
