package sink_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// shop is a sink that consumers come to: it tells them what is newest.
type shop struct {
	listener
	newest func(context.Context) iter.Seq2[sink.Delivery, error]
}

func (s *shop) Serve(ctx context.Context, newest func(context.Context) iter.Seq2[sink.Delivery, error]) error {
	s.newest = newest
	<-ctx.Done()
	return ctx.Err()
}

// visit returns the accounts that a consumer gets, and the error that it is
// told.
func (s *shop) visit(t *testing.T) (accounts []string, err error) {
	for d, err := range s.newest(t.Context()) {
		if err != nil {
			return accounts, err
		}
		accounts = append(accounts, d.Document.Account)
	}
	return accounts, nil
}

func TestConsumersGetWhatTheSinkMayHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &shop{}
		for _, a := range []string{"a", "b", "c"} {
			r.next(a)
		}
		r.damaged = errors.New("account x is damaged")
		b := start(t, sink.WorkerConfig{Sink: out, Accounts: []string{"a", "c", "x"}}, r)
		pass(time.Second)
		want := []string{"a", "c"}
		if got, err := out.visit(t); !slices.Equal(got, want) || err != nil {
			t.Errorf("a consumer gets %v, %v", got, err)
		}
		// One damaged record keeps nothing from the others.
		if out.versions("a") == nil || out.versions("c") == nil {
			t.Error("nothing was delivered at the start")
		}
		if n, err := b.Redeliver(t.Context(), ""); n != 2 || err != nil {
			t.Errorf("redelivered %d, %v", n, err)
		}
		b.Disable("ann")
		if got, err := out.visit(t); got != nil || err == nil || !strings.Contains(err.Error(), "ann") {
			t.Errorf("a consumer of a disabled sink gets %v, %v", got, err)
		}
		b.Enable()
		r.set(func(r *records) { r.broken = errors.New("disk") })
		if got, err := out.visit(t); got != nil || err == nil {
			t.Errorf("a consumer gets %v, %v from a store that can't be read", got, err)
		}
	})
}

func TestConsumersOfASinkOfAlertsGetNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, out := newRecords(), &shop{}
		r.next("a")
		start(t, alertsOnly(out, newBoard()), r)
		pass(time.Second)
		if got, err := out.visit(t); got != nil || err != nil || r.lists > 0 {
			t.Errorf("a consumer gets %v, %v", got, err)
		}
	})
}
