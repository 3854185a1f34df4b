package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
)

// SaveAlert implements [Store].
func (e *engine) SaveAlert(ctx context.Context, a event.Alert) error {
	if err := errors.Join(checkName("an alert", a.Key), ctx.Err()); err != nil {
		return fmt.Errorf("storing an alert: %w", err)
	}
	b, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("storing alert %s: %w", a.Key, err)
	}
	if err := e.submit(&write{rule: func(d draft) error { d.put(alertKey(a.Key), sign(b)); return nil }}); err != nil {
		return fmt.Errorf("storing alert %s: %w", a.Key, err)
	}
	return nil
}

// Alerts implements [Store].
func (e *engine) Alerts(ctx context.Context) ([]event.Alert, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("listing the alerts: %w", err)
	}
	var all []event.Alert
	err := e.read(func(r reader) {
		r.scan(prefixAlerts, func(key string, value []byte) {
			if a, ok := readAlert(strings.TrimPrefix(key, prefixAlerts), value); ok {
				all = append(all, a)
			}
		})
	})
	if err != nil {
		return nil, fmt.Errorf("listing the alerts: %w", err)
	}
	slices.SortFunc(all, func(a, b event.Alert) int { return strings.Compare(a.Key, b.Key) })
	return all, nil
}

func readAlert(key string, b []byte) (a event.Alert, ok bool) {
	ok = json.Unmarshal(b, &a) == nil && a.Key == key
	return a, ok
}

// DropAlert implements [Store]. What MarkDelivered and MarkTried note while it
// is under way may stay in the ledger.
func (e *engine) DropAlert(ctx context.Context, key string) error {
	if err := errors.Join(checkName("an alert", key), ctx.Err()); err != nil {
		return fmt.Errorf("dropping an alert: %w", err)
	}
	sinks, err := e.ledgerSinks()
	if err != nil {
		return fmt.Errorf("dropping alert %s: %w", key, err)
	}
	if err := e.submit(&write{rule: func(d draft) error { d.dropAlert(key, sinks); return nil }}); err != nil {
		return fmt.Errorf("dropping alert %s: %w", key, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	maps.DeleteFunc(e.pending, func(_ string, d Delivery) bool { return d.Account == key })
	return nil
}

// dropAlert is the rule of [Store.DropAlert]. sinks are all that may have been
// told.
func (d draft) dropAlert(key string, sinks []string) {
	d.dropped[key] = true
	d.delete(alertKey(key))
	for _, sink := range sinks {
		d.delete(ledgerKey(sink, key))
	}
}

// ledgerSinks returns every sink that the ledger knows. The whole ledger is
// read for that, but only once: note keeps up.
func (e *engine) ledgerSinks() ([]string, error) {
	e.mu.Lock()
	read := e.sinksRead
	e.mu.Unlock()
	if !read {
		stored := map[string]bool{}
		err := e.read(func(r reader) {
			r.scan(prefixLedger, func(line string, _ []byte) {
				sink, _, _ := strings.Cut(strings.TrimPrefix(line, prefixLedger), "/")
				stored[sink] = true
			})
		})
		if err != nil {
			return nil, err
		}
		e.mu.Lock()
		maps.Copy(e.sinks, stored)
		e.sinksRead = true
		e.mu.Unlock()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Collect(maps.Keys(e.sinks)), nil
}
