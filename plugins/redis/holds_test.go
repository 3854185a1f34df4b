package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

func (r *rig) told(account string, delivered time.Time) (sdk.Holding, error) {
	r.t.Helper()
	h, err := r.sink.Holds(r.t.Context(), sdk.HoldsRequest{
		Sink: "cache", Settings: r.settings, Account: account, Provider: "saxo", Version: 2, DeliveredAt: delivered,
	})
	r.free(err)
	return h, err
}

func TestHolds(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		settings  []string
		change    func(*rig)
		delivered time.Time
		version   uint64
		want      error
	}{
		"as delivered":                   {version: 2},
		"an older one":                   {change: func(r *rig) { r.do("FLUSHALL"); r.must(r.deliver(1)) }, delivered: now.Add(time.Hour), version: 1},
		"a later one of another's store": {change: func(r *rig) { r.do("FLUSHALL"); r.must(r.deliver(1)) }, want: sdk.ErrUnimplemented},
		"the token is gone":              {change: func(r *rig) { r.do("DEL", "tokenkeeper:saxo-live") }, want: sdk.ErrNothingStored},
		"its version is gone":            {change: func(r *rig) { r.do("DEL", "tokenkeeper:saxo-live:version") }, want: sdk.ErrNothingStored},
		"all is gone":                    {change: func(r *rig) { r.do("FLUSHALL") }, want: sdk.ErrNothingStored},
		"all is gone, before its time":   {settings: []string{"ttl", "1h"}, change: func(r *rig) { r.do("FLUSHALL") }, delivered: now.Add(-time.Minute), want: sdk.ErrNothingStored},
		"all is gone, as its time is":    {settings: []string{"ttl", "1h"}, change: func(r *rig) { r.do("FLUSHALL") }, delivered: now.Add(-2 * time.Hour), want: sdk.ErrUnimplemented},
		"the version is another program": {change: func(r *rig) { r.do("SET", "tokenkeeper:saxo-live:version", "3") }, want: sdk.ErrUnimplemented},
		"another account's": {settings: []string{"key", "k"}, change: func(r *rig) {
			r.do("FLUSHALL")
			r.must(r.send(r.request("other", 1)))
		}, want: sdk.ErrNothingStored},
		"with the permissions of a delivery": {change: func(r *rig) {
			r.do("ACL", "SETUSER", "tokenkeeper", "on", ">"+password, "+eval", "+get", "+set", "+publish", "~tokenkeeper:*", "&tokenkeeper:*")
			r.settings = with(r.settings, "username", "tokenkeeper")
		}, version: 2},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, tc.settings...)
			r.must(r.deliver(2))
			if tc.change != nil {
				tc.change(r)
			}
			if tc.delivered.IsZero() {
				tc.delivered = now
			}
			if h, err := r.told("saxo-live", tc.delivered); h.Version != tc.version || !errors.Is(err, tc.want) {
				t.Errorf("told %+v, %v; want version %d, %v", h, err, tc.version, tc.want)
			}
		})
	}
	r := start(t)
	r.kill()
	if _, err := r.told("saxo-live", now); err == nil || errors.Is(err, sdk.ErrNothingStored) {
		t.Errorf("of a server that is down: %v", err)
	}
}
