package webclient

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
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"DNS":     {&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "CANARY.example"}}, "can't be resolved"},
		"no way":  {&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "dial: no route to host"},
		"proxy":   {&net.OpError{Op: "proxyconnect", Err: errors.New("CANARY")}, "errorString"},
		"unknown": {fmt.Errorf("malformed %w", errors.New("CANARY")), "errorString"},
	} {
		err := explain(context.Background(), way{proxied: true, setting: true, host: "proxy.example:3128"}, &url.Error{Op: "Post", URL: "https://CANARY", Err: c.err}, time.Second)
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
		sinktest.AssertNoSecret(t, err)
	}
}
