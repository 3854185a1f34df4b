package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// What settling does to an answer depends on whether somebody has read it.
func TestSettleKeepsWhatNobodyRead(t *testing.T) {
	answered := func(err error) func(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
		return func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
			slot, _ := spool.FromContext(ctx)
			if recordErr := slot.Record([]byte("Xanswer")); recordErr != nil {
				return sdk.Token{}, recordErr
			}
			return token(), err
		}
	}
	tests := map[string]struct {
		err  error
		kept int
	}{
		"a token":                 {nil, 0},
		"a refusal":               {&sdk.Error{Kind: sdk.KindInvalidGrant, Message: "no", HTTPStatus: 400}, 0},
		"an error page":           {&sdk.Error{Kind: sdk.KindTransient, Message: "no", HTTPStatus: 502}, 0},
		"an unreadable success":   {&sdk.Error{Kind: sdk.KindAmbiguous, Message: "what", HTTPStatus: 200}, 1},
		"an unread success":       {&sdk.Error{Kind: sdk.KindAmbiguous, Message: "what", HTTPStatus: 200, Unread: true}, 1},
		"a provider's fault":      {errors.New("oops"), 1},
		"a setting, wrong by now": {&sdk.Error{Kind: sdk.KindInvalidClient, Message: "setting"}, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), answered(tt.err))
			if _, err := w.Refresh(t.Context(), request("a", "main")); (err == nil) != (tt.err == nil) {
				t.Fatal(err)
			}
			if err := w.Settle(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			if kept, _ := filepath.Glob(filepath.Join(w.dir, "unread-*")); len(kept) != tt.kept {
				t.Errorf("put aside: %v", kept)
			}
			if got, err := w.Unsettled(t.Context()); err != nil || len(got.Entries) != 0 {
				t.Errorf("unsettled %+v, %v", got, err)
			}
		})
	}
}

// However many answers come that hold nothing like a token, none takes the place of
// one that may.
func TestPagesTakeNoPlaceOfAnUnreadAnswer(t *testing.T) {
	unread := true
	w := newWorld(t, t.TempDir(), func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
		slot, _ := spool.FromContext(ctx)
		return sdk.Token{}, errors.Join(slot.Record([]byte("Xanswer")), &sdk.Error{Kind: sdk.KindAmbiguous, HTTPStatus: 200, Unread: unread})
	})
	for n := range 6 {
		attempt := fmt.Sprint(n)
		if _, err := w.Refresh(t.Context(), request(attempt, "main")); err == nil {
			t.Fatal("a page was taken for a token")
		}
		if err := w.Settle(t.Context(), attempt); err != nil {
			t.Fatal(err)
		}
		unread = false
	}
	if kept, _ := filepath.Glob(filepath.Join(w.dir, "unread-*")); len(kept) != 1 || filepath.Base(kept[0]) != "unread-0" {
		t.Errorf("put aside: %v", kept)
	}
}

// What the next process makes of an attempt, by how far the last one came.
func TestNextProcess(t *testing.T) {
	tests := map[string]struct {
		last  func(*spool.Slot) error
		calls int32
		kind  sdk.Kind // "": a token
	}{
		"taken":          {func(*spool.Slot) error { return nil }, 1, ""},
		"begun":          {func(s *spool.Slot) error { return s.Advance(spool.Begun) }, 0, sdk.KindAmbiguous},
		"ready":          {func(s *spool.Slot) error { return s.Advance(spool.Ready) }, 1, ""},
		"sent":           {func(s *spool.Slot) error { return s.Advance(spool.Sent) }, 0, sdk.KindAmbiguous},
		"its own answer": {func(s *spool.Slot) error { return s.Record([]byte("Xfor the provider")) }, 1, ""},
		"a broken token": {func(s *spool.Slot) error { return s.Record([]byte("T\xff\xff\xff")) }, 0, sdk.KindAmbiguous},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, t.TempDir(), grant)
			slot, _, err := w.spool.Begin(spool.Header{Attempt: "a", Account: "main", Kind: spool.KindRefresh})
			if err != nil {
				t.Fatal(err)
			}
			if err := tt.last(slot); err != nil {
				t.Fatal(err)
			}
			_, err = w.Refresh(t.Context(), request("a", "main"))
			if tt.kind != "" {
				wantKind(t, err, tt.kind)
			} else if err != nil {
				t.Error(err)
			}
			if n := w.fake.calls.Load(); n != tt.calls {
				t.Errorf("the provider was called %d times, want %d", n, tt.calls)
			}
			// The supervisor of the last process may settle without asking.
			if err := w.Settle(t.Context(), "a"); err != nil {
				t.Error(err)
			}
		})
	}
}

// marking is a fake that promises to mark what it sends.
type marking struct{ *fake }

func (marking) MarksSends() {}

// A provider that tells when it sends leaves no doubt about the time before;
// of any other nobody knows from the call on.
func TestSlotWhileTheProviderIsAsked(t *testing.T) {
	for name, want := range map[string]spool.Progress{"plain": spool.Begun, "marking": spool.Ready} {
		t.Run(name, func(t *testing.T) {
			var got spool.Progress
			w := newWorld(t, t.TempDir(), func(ctx context.Context, _ sdk.RefreshRequest) (sdk.Token, error) {
				slot, _ := spool.FromContext(ctx)
				got = slot.Progress()
				return token(), nil
			})
			if name == "marking" {
				w.serveAs(t, marking{w.fake}, func() (*spool.Spool, error) { return w.spool, nil })
			}
			if _, err := w.Refresh(t.Context(), request("a", "main")); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("the slot says %q, want %q", got, want)
			}
		})
	}
}

// A disk that fails after the answer: the token comes with the fault, and the
// same call again has it still.
func TestSpoolFaultIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "spool")
	var w *world
	w = newWorld(t, dir, func(context.Context, sdk.RefreshRequest) (sdk.Token, error) {
		_ = w.spool.Close()
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Error(err)
		}
		return token(), nil
	})
	for range 2 {
		a, err := w.RefreshAnswer(t.Context(), request("a", "main"))
		if err != nil || !reflect.DeepEqual(a.Token, token()) {
			t.Fatalf("the token is lost: %v", err)
		}
		if a.SpoolFault == "" {
			t.Error("nobody hears of the fault")
		}
	}
	if !strings.Contains(w.log.String(), "level=ERROR") {
		t.Error("the fault is not in the log")
	}
}

func TestNoSpoolNoAttempt(t *testing.T) {
	w := &world{fake: &fake{refresh: grant}, log: &bytes.Buffer{}}
	w.serve(t, func() (*spool.Spool, error) { return nil, errors.New("the disk is gone") })
	_, err := w.Refresh(t.Context(), request("a", "main"))
	wantKind(t, err, sdk.KindNotSent)
	if _, err := w.Unsettled(t.Context()); err == nil {
		t.Error("a spool that can't be opened is taken for an empty one")
	}
	if n := w.fake.calls.Load(); n != 0 {
		t.Error("the refresh token was spent without a spool")
	}
}
