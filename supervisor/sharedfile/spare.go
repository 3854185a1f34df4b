package sharedfile

import (
	"sync"

	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/atomicfile"
)

// spare is what [File.Prove] has kept for the next Write: the file that will replace the
// one that is there. The zero value is empty. It is safe for concurrent use.
type spare struct {
	mu       sync.Mutex
	prepared *prepared // nil: nothing
}

// prepared is kept with the folder that it is in.
type prepared struct {
	*atomicfile.Prepared
	done func()
}

func (s *spare) keep(p *prepared) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.prepared = p
}

// take hands out what is kept, nil if there is nothing.
func (s *spare) take() *prepared {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.prepared
	s.prepared = nil
	return p
}

// discard gives up what is kept.
func (s *spare) discard() {
	if p := s.take(); p != nil {
		p.Discard()
		p.done()
	}
}
