package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

// TestATokenIsAskedFor: what is asked for is on the wire, and every refusal is an error of
// its own.
func TestATokenIsAskedFor(t *testing.T) {
	const until = "2100-01-01T00:00:00Z"
	asked, status, body := "", 200, `{"version":8,"access_token":"at","token_type":"Bearer"}`
	socket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.URL.String()
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
	c := client.New(socket)
	t.Cleanup(c.Close)
	usable := func() (client.Token, error) { return c.UsableToken(t.Context(), "a/b", 90*time.Second) }
	newer := func() (client.Token, error) { return c.NewerToken(t.Context(), "main", client.Token{Version: 7}) }
	for want, ask := range map[string]func() (client.Token, error){
		"POST /v1/accounts/a%2Fb/token?min_valid=1m30s": usable, "POST /v1/accounts/main/token?if_version=7": newer,
	} {
		if tok, err := ask(); err != nil || tok.Version != 8 || tok.AccessToken.Reveal() != "at" || asked != want {
			t.Errorf("%s: %+v, %v after %s", want, tok, err, asked)
		}
	}
	for code, want := range map[string]error{
		"not_yet": client.ErrNotYet, "short_lived": client.ErrExpired, "needs_login": client.ErrNeedsLogin, "needs_person": client.ErrNeedsLogin, "no_token": client.ErrNoToken, "not_found": client.ErrNoAccount,
	} {
		status, body = 409, `{"code":"`+code+`","error":"what it says","retry_at":"`+until+`"}`
		_, err := newer()
		if !errors.Is(err, want) || !strings.Contains(err.Error(), "what it says") {
			t.Errorf("%s: %v", code, err)
		}
		late, ok := errors.AsType[*client.NotYet](err)
		if ok != (code == "not_yet") || ok && late.Until.Format(time.RFC3339) != until {
			t.Errorf("%s: %+v", code, late)
		}
	}
}

// TestABrokerMayTakeItsTime: a call that waits for a broker outlasts one that only looks.
func TestABrokerMayTakeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := newSupervisor(t)
		s.start()
		s.set("main", 1, time.Hour)
		s.mu.Lock()
		s.works = time.Minute
		s.mu.Unlock()
		if tok, err := c.UsableToken(t.Context(), "main", time.Minute); err != nil || tok.Version != 1 {
			t.Errorf("after a minute: %+v, %v", tok, err)
		}
		s.mu.Lock()
		s.works = time.Hour
		s.mu.Unlock()
		began := time.Now()
		if _, err := c.UsableToken(t.Context(), "main", time.Minute); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 95*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestTransportAsksForANewerToken: of whoever says that 401 means the token, and once.
func TestTransportAsksForANewerToken(t *testing.T) {
	for _, brings := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := newSupervisor(t)
			s.start()
			s.set("main", 1, time.Hour)
			asked := 0
			s.brings = func() {
				if asked++; brings {
					s.set("main", 2, time.Hour)
				}
			}
			c := client.New("control.sock", client.WithDial(s.dial), client.WithNewerAfter401())
			t.Cleanup(c.Close)
			b := &broker{answer: func(req *http.Request) (int, string) {
				if strings.HasSuffix(req.Header.Get("Authorization"), "-1") {
					return 401, ""
				}
				return 200, ""
			}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://broker.example/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: c.Transport("main", b)}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			want := []string{"https://broker.example/orders Bearer at-main-1"}
			if brings {
				want = append(want, "https://broker.example/orders Bearer at-main-2")
			}
			b.want(t, "after 401", want...)
			if status := map[bool]int{true: 200, false: 401}[brings]; resp.StatusCode != status || asked != 1 {
				t.Errorf("status %d, asked %d times", resp.StatusCode, asked)
			}
		})
	}
}
