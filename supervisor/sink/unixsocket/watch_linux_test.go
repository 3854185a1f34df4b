package unixsocket

import (
	"context"
	"testing"
	"time"
)

func TestWhatHappenedBeforeTheWatchIsSeen(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	asked := false
	err := awaitName(ctx, t.TempDir(), "s", func() bool { asked = true; return true })
	if err != nil || !asked {
		t.Errorf("got %v, asked: %v", err, asked)
	}
}
