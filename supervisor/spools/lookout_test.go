package spools

import (
	"testing"
	"testing/synctest"
	"time"
)

// A disk that hangs is waited for once, and asked again when it is back.
func TestADiskThatHangsKeepsNobodyFromTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Lookout
		dead, looks := make(chan struct{}), 0
		look := func() string { looks++; <-dead; return "there" }
		began := time.Now()
		for range 100 {
			if found := l.find(look); found != "" {
				t.Errorf("found %q", found)
			}
		}
		if took := time.Since(began); took > patience || looks != 1 {
			t.Errorf("%d looks took %s", looks, took)
		}
		close(dead)
		synctest.Wait()
		if found := l.find(look); found != "there" {
			t.Errorf("found %q afterwards", found)
		}
	})
}
