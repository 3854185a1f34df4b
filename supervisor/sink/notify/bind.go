package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// errRedirected: the service is elsewhere.
var errRedirected = errors.New("the service answered with a redirect: correct the host in the URL")

// refuseRedirect is for [http.Client.CheckRedirect]. Followed, a redirect could
// turn the message into a mere GET, which any page answers with 200, and hand
// the URL's secrets to another host, in the service's own headers and in
// Referer.
func refuseRedirect(*http.Request, []*http.Request) error { return errRedirected }

// longest that a service may take that goes through [http.DefaultClient], which
// by itself waits for ever.
const longest = 30 * time.Second

// bindDefault is for the many services of the library that know no other
// client than [http.DefaultClient], and some of them no deadline. Nothing else
// in the supervisor uses it.
var bindDefault = sync.OnceFunc(func() {
	http.DefaultClient.CheckRedirect = refuseRedirect
	http.DefaultClient.Timeout = longest
})

// bind gives a service that takes one an HTTP client that heeds ctx, the
// environment's proxy, and leaves no connection open behind the message. Two
// let only their own client be changed, and for most others there is
// [bindDefault]. Lark, matrix, signal, slack's webhooks and wecom can't be
// reached: they end in time, but follow redirects.
func bind(ctx context.Context, service types.Service) {
	switch s := service.(type) {
	case *ntfy.Service:
		s.SetHTTPClient(boundClient(ctx, s.Config.DisableTLSVerification))
	case *pagerduty.Service:
		s.SetHTTPClient(boundClient(ctx, false))
	case *discord.Service:
		s.HTTPClient = boundClient(ctx, false)
	case *pushover.Service:
		s.Client = boundClient(ctx, false)
	case *rocketchat.Service:
		s.Client = boundClient(ctx, false)
	case *gotify.Service:
		s.GetHTTPClient().CheckRedirect = refuseRedirect
	case *mattermost.Service:
		s.GetHTTPClient().CheckRedirect = refuseRedirect
	}
}

func boundClient(ctx context.Context, anyCertificate bool) *http.Client {
	return &http.Client{
		CheckRedirect: refuseRedirect,
		Transport: boundTransport{ctx, &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
			// A person can ask for this in the URL, for a server of their own.
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: anyCertificate},
		}},
	}
}

// boundTransport ends requests with a context that their maker does not know.
type boundTransport struct {
	ctx  context.Context
	base http.RoundTripper
}

func (t boundTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.base.RoundTrip(req.WithContext(t.ctx))
}
