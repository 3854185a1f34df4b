package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/sinktest/folder"
	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/readback"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

func TestHoldsAVersion(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, nil, "sink").serving(t)
	light := readback.Question{Account: "a", Provider: "broker", Lightly: true}
	if _, err := r.Holds(t.Context(), light); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("before the first delivery: %v", err)
	}
	if err := r.Deliver(t.Context(), sinktest.Bare("a", 2)); err != nil {
		t.Fatal(err)
	}
	held, err := r.Holds(t.Context(), light)
	if err != nil || !held.Told || held.Version != 2 || !held.Document.AccessToken.IsZero() {
		t.Errorf("held: %+v, %v", held, err)
	}
	if err := os.Remove(filepath.Join(r.dir, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Holds(t.Context(), light); !errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("after the loss: %v", err)
	}
}

// A plugin that does not say that it can tell is not asked, though it restores.
func TestAPluginWithoutHoldsIsNotAsked(t *testing.T) {
	t.Parallel()
	r := start(t, "plain", nil, "plain").serving(t)
	if _, err := r.Holds(t.Context(), readback.Question{Account: "a", Provider: "broker", Lightly: true}); !errors.Is(err, sdk.ErrUnimplemented) {
		t.Errorf("the error is %v", err)
	}
}

// There is news when its process serves, because it could not be asked before.
func TestWatchTellsWhenTheProcessServes(t *testing.T) {
	t.Parallel()
	r := start(t, folder.Type, nil, "sink")
	news := make(chan string, 1)
	if err := r.Watch(t.Context(), func(account string) { news <- account }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-news:
		if !r.Status().Sink.Holder {
			t.Error("it is not known yet what it can do")
		}
	case <-waittest.Late(t):
		t.Fatal("no news")
	}
}
