package oauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// The slot says ready while nothing was sent, sent from before the first byte,
// and answered before anybody reads the answer.
func TestSlotFollowsTheAttempt(t *testing.T) {
	ctx, slot, _ := withSlot(t, t.TempDir())
	var seen []spool.Progress
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, slot.Progress())
		answerWith(400, "application/json", `{"error":"odd_one"}`)(w, r)
	})
	c := Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		seen = append(seen, slot.Progress())
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	e := endpointAt(s.URL)
	e.Classify = func(OAuthError) sdk.Kind {
		seen = append(seen, slot.Progress())
		if _, ok := slot.Answer(); !ok {
			t.Error("the answer is read before it is spooled")
		}
		return ""
	}
	_, err := c.Refresh(ctx, e, refreshRequest())
	wantKind(t, err, sdk.KindTransient)
	if want := []spool.Progress{spool.Ready, spool.Sent, spool.Answered}; !reflect.DeepEqual(seen, want) {
		t.Errorf("progress %v, want %v", seen, want)
	}
}

// The connection is made and the slot still says ready: a failed handshake is
// not a sent request, in the spool either.
func TestFailedConnectionStaysReady(t *testing.T) {
	ctx, slot, _ := withSlot(t, t.TempDir())
	c := Client{Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { // read the greeting, then hang up
			_, _ = far.Read(make([]byte, 1))
			_ = far.Close()
		}()
		return near, nil
	}}
	_, err := c.Refresh(ctx, endpointAt("https://broker.invalid"), refreshRequest())
	wantKind(t, err, sdk.KindNotSent)
	if slot.Progress() != spool.Ready {
		t.Errorf("progress %s", slot.Progress())
	}
}

func TestNothingIsSentWithoutTheNote(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	t.Run("ready", func(t *testing.T) {
		ctx, _, sp := withSlot(t, t.TempDir())
		_ = sp.Close() // the slot's file with it
		_, err := (&Client{}).Refresh(ctx, endpointAt(s.URL), refreshRequest())
		wantKind(t, err, sdk.KindNotSent)
	})
	t.Run("sent", func(t *testing.T) {
		ctx, _, sp := withSlot(t, t.TempDir())
		c := Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			_ = sp.Close()
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
		_, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest())
		wantKind(t, err, sdk.KindNotSent)
	})
	t.Run("sent, into a file that is gone", func(t *testing.T) {
		dir := t.TempDir()
		ctx, _, _ := withSlot(t, dir)
		c := Client{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			removeSlots(t, dir)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
		_, err := c.Refresh(ctx, endpointAt(s.URL), refreshRequest())
		wantKind(t, err, sdk.KindNotSent)
	})
	if s.count() != 0 {
		t.Errorf("%d requests were sent", s.count())
	}
}

func removeSlots(t *testing.T, dir string) {
	slots, err := filepath.Glob(filepath.Join(dir, "slot-*"))
	if err != nil || len(slots) == 0 {
		t.Errorf("no slot in %s: %v", dir, err)
	}
	for _, path := range slots {
		if err := os.Remove(path); err != nil {
			t.Error(err)
		}
	}
}

// The same attempt in the next process gives the same result without sending,
// whatever became of the configuration and of the caller's memory.
func TestRecovery(t *testing.T) {
	tests := map[string]http.HandlerFunc{
		"token":         answerWith(201, "application/json", goodAnswer, "Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
		"invalid_grant": answerWith(400, "application/json", `{"error":"invalid_grant"}`),
		"rate limited":  answerWith(503, "text/html", "", "Retry-After", "Mon, 01 Jan 2024 00:01:00 GMT", "Date", "Mon, 01 Jan 2024 00:00:00 GMT"),
		"unreadable":    answerWith(200, "text/html", "<p>"),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			s := serve(t, handler)
			dir := t.TempDir()
			ctx, _, sp := withSlot(t, dir)
			e := endpointAt(s.URL)
			e.Private = map[string]sdk.Secret{"code_verifier": sdk.NewSecret("V")}
			first, firstErr := (&Client{}).Refresh(ctx, e, refreshRequest())
			if err := sp.Close(); err != nil {
				t.Fatal(err)
			}

			ctx, _, _ = withSlot(t, dir)
			e.Fault, e.Private = errors.New("the settings are wrong by now"), nil
			again, againErr := (&Client{}).Refresh(ctx, e, sdk.RefreshRequest{Account: account()})
			if !reflect.DeepEqual(again, first) {
				t.Errorf("recovered %+v, want %+v", again, first)
			}
			if !reflect.DeepEqual(againErr, firstErr) {
				t.Errorf("recovered error %#v, want %#v", againErr, firstErr)
			}
			if s.count() != 1 {
				t.Errorf("%d requests", s.count())
			}
		})
	}
}

func TestForeignAnswerIsAmbiguous(t *testing.T) {
	s := serve(t, answerWith(200, "application/json", goodAnswer))
	ctx, slot, _ := withSlot(t, t.TempDir())
	if err := slot.Record([]byte("Xsomething")); err != nil {
		t.Fatal(err)
	}
	_, err := (&Client{}).Refresh(ctx, endpointAt(s.URL), refreshRequest())
	wantKind(t, err, sdk.KindAmbiguous)
	if s.count() != 0 {
		t.Error("the refresh token was spent again")
	}
}

// A disk that fails after the answer does not cost the token.
func TestRecordFails(t *testing.T) {
	dir := t.TempDir()
	ctx, slot, sp := withSlot(t, dir)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = sp.Close()         // the slot's own file fails
		breakDirectory(t, dir) // and there is no place for a fresh one
		answerWith(200, "application/json", goodAnswer)(w, r)
	})
	token, err := (&Client{}).Refresh(ctx, endpointAt(s.URL), refreshRequest())
	if err != nil {
		t.Fatal(err)
	}
	if token.RefreshToken.Reveal() != "next" {
		t.Error("the token is lost")
	}
	if slot.Fault() == nil {
		t.Error("nobody would hear of the fault")
	}
}

// A cut answer is kept, because it may hold the refresh token in part.
func TestIncompleteAnswerIsSpooled(t *testing.T) {
	ctx, slot, _ := withSlot(t, t.TempDir())
	s := serveRaw(t, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + goodAnswer[:50]))
	})
	_, err := (&Client{}).Refresh(ctx, endpointAt(s.url), refreshRequest())
	wantKind(t, err, sdk.KindAmbiguous)
	spooled, _ := slot.Answer()
	ans, decodeErr := decodeAnswer(spooled)
	if decodeErr != nil || string(ans.body) != goodAnswer[:50] || ans.Incomplete == "" {
		t.Errorf("spooled %+v, %v", ans, decodeErr)
	}
}
