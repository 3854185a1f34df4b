package refresh

import (
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/sharing"
)

// mostPeeks are made at once: each at a disk that does not answer keeps a thread.
const mostPeeks = 64

// peeks are the regular looks at the shared files, for where no notice of a change comes.
// A look at a disk that does not answer never comes back, and can't be ended: so there is
// one at each file at most, and nobody waits for it, neither the other accounts nor
// whoever has to show that the supervisor lives. It is safe for concurrent use.
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
		for _, a := range p.sharing {
			if !p.begin(a) {
				continue
			}
			p.slots <- struct{}{}
			go func() {
				defer p.end(a)
				if a.share.Differs(a.rec(), a.compare) {
					p.touch(a.cfg.Name)
				}
				if foresee {
					a.share.Foresee()
				}
			}()
		}
	}()
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
