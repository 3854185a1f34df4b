package gcpsecretmanager

import "time"

// SetNow replaces the wall clock.
func (s *Sink) SetNow(now func() time.Time) { s.now = now }
