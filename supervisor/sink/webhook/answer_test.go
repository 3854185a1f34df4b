package webhook

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

func TestExplain(t *testing.T) {
	s := &Sink{cfg: Config{Timeout: time.Second}}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"DNS":     {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "CANARY.example"}}, "can't be resolved"},
		"no way":  {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "dial: no route to host"},
		"proxy":   {&net.OpError{Op: "proxyconnect", Err: errors.New("CANARY")}, "errorString"},
		"unknown": {fmt.Errorf("malformed %w", errors.New("CANARY")), "errorString"},
	} {
		err := s.explain(context.Background(), &url.Error{Op: "Post", URL: "https://CANARY", Err: c.err})
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		sinktest.AssertNoSecret(t, err)
	}
}

func FuzzRetryAfter(f *testing.F) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "1.5": 0, " 30 ": 30 * time.Second, "99999999999999999999": 0,
		"Sun, 01 Mar 2026 12:01:00 GMT": time.Minute, "Sun, 01 Mar 2026 11:59:00 GMT": 0,
	} {
		f.Add(header)
		if got, ok := retryAfter(header, now); got != want || ok != (want > 0) {
			f.Errorf("%q: %s, %v", header, got, ok)
		}
	}
	f.Fuzz(func(t *testing.T, header string) {
		if after, ok := retryAfter(header, now); after < 0 || ok != (after > 0) {
			t.Errorf("%q: %s, %v", header, after, ok)
		}
	})
}
