package refresh

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// skewed is how far this machine's clock was from the server's when a person was told
// of it.
type skewed struct {
	lock     sync.Locker
	provider string
	log      *slog.Logger
	told     time.Duration
}

// skewTolerated is more than the seconds that a Date is rounded by and an
// answer takes, and less than matters to a token.
const skewTolerated = time.Minute

// tell says that this machine's clock is wrong, once. Tokens are issued
// and die by this clock, so they are kept alive all the same; but elsewhere
// the moments that consumers are told are wrong.
func (s *skewed) tell(skew time.Duration) {
	s.lock.Lock()
	news := skew != 0 && (skew-s.told).Abs() > skewTolerated
	if news {
		s.told = skew
	}
	s.lock.Unlock()
	if !news || skew.Abs() <= skewTolerated {
		return
	}
	is := "behind"
	if skew < 0 {
		is = "ahead of"
	}
	s.log.Warn(fmt.Sprintf("this machine's clock is %s %s the server's. Tokens are kept alive all the same, "+
		"but programs on other machines see a wrong expiry: set the clock", skew.Abs().Round(time.Second), is),
		"provider", s.provider)
}
