package spools

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A disk that hangs is waited for once, and asked again when it is back.
func TestADiskThatHangsKeepsNobodyFromTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Lookout
		var looks atomic.Int32
		dead := make(chan struct{})
		look := func() string { looks.Add(1); <-dead; return "there" }
		began := time.Now()
		for range 100 {
			if found := l.find(look); found != "" {
				t.Errorf("found %q", found)
			}
		}
		if took := time.Since(began); took > patience || looks.Load() != 1 {
			t.Errorf("%d looks took %s", looks.Load(), took)
		}
		close(dead)
		synctest.Wait()
		if found := l.find(look); found != "there" {
			t.Errorf("found %q afterwards", found)
		}
	})
}
