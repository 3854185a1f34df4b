package refresh

import (
	"context"
	"fmt"
	"sync"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/belief"
	"github.com/tokenkeeper/tokenkeeper/supervisor/schedule"
)

// spoolSeen is the provider's spool, as last heard.
type spoolSeen struct {
	lock sync.Locker
	name string // "": not known
}

// id is the name that it has.
func (s *spoolSeen) id() string {
	s.lock.Lock()
	defer s.lock.Unlock()
	return s.name
}

// longestSpoolID bounds what a provider may call its spool.
const longestSpoolID = 256

// read asks the provider for its spool's name and what stands in it.
func (s *spoolSeen) read(ctx context.Context, provider string, remote *sdk.Remote, clock *schedule.Clock) ([]spool.Entry, error) {
	c, err := remote.Unsettled(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask provider %s for what stands in its spool: %w", provider, err)
	}
	if len(c.ID) > longestSpoolID {
		c.ID = ""
	}
	s.lock.Lock()
	defer s.lock.Unlock()
	s.name = c.ID
	return belief.Spooled(c.Entries, clock.Now().Wall), nil
}
