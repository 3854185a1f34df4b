package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// errRedirected: the service is elsewhere.
var errRedirected = errors.New("the service answered with a redirect: correct the host in the URL")

// bind gives a service that takes one an HTTP client that heeds ctx, the
// environment's proxy, and leaves no connection open behind the message. The
// others use what the library gives them.
func bind(ctx context.Context, service types.Service) {
	switch s := service.(type) {
	case *ntfy.Service:
		s.SetHTTPClient(boundClient(ctx, s.Config.DisableTLSVerification))
	case *pagerduty.Service:
		s.SetHTTPClient(boundClient(ctx, false))
	}
}

func boundClient(ctx context.Context, anyCertificate bool) *http.Client {
	return &http.Client{
		// Followed, a redirect could turn the message into a mere GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirected },
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
