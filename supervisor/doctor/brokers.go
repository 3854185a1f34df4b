package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
)

// Broker is a way to a token endpoint, and the first account that goes it.
type Broker struct {
	Account sdk.Account
	Address string
}

func (b Broker) host() string {
	if u, err := url.Parse(b.Address); err == nil {
		return u.Host
	}
	return "the token endpoint"
}

// The two things that one examination is about: the clock is compared with the brokers'.
const (
	aboutBrokers = "brokers"
	aboutClock   = "clock"
)

const (
	// brokerPatience is how long a broker may take.
	brokerPatience = 8 * time.Second
	// apart are two clocks that differ by more than a slow answer explains; farApart are
	// those by which a token that lives for minutes is refreshed too late.
	apart    = 5 * time.Second
	farApart = time.Minute
	// endsSoon is when a certificate is renewed on every well-kept server.
	endsSoon = 5 * 24 * time.Hour
)

// sight is what was seen of a broker.
type sight struct {
	Broker
	oauth.Sight
	err error
}

// brokers asks every token endpoint for its head, and compares the clocks.
func (w World) brokers(ctx context.Context, s Setup) (found []Finding, err error) {
	ctx, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	seen := make([]sight, len(s.Brokers))
	var looks sync.WaitGroup
	for i, b := range s.Brokers {
		looks.Go(func() {
			seen[i].Broker = b
			seen[i].Sight, seen[i].err = w.Look(ctx, b.Account, b.Address)
		})
	}
	looks.Wait()
	for _, of := range seen {
		found = append(found, of.findings(s.Now)...)
	}
	ofClock, err := w.clock(seen)
	return append(found, ofClock...), err
}

// findings are about one broker.
func (s sight) findings(now time.Time) []Finding {
	left := s.CertificateEnds.Sub(now)
	switch {
	case s.err != nil:
		return []Finding{{Severity: Fault, About: aboutBrokers, Message: fmt.Sprintf("account %s: %v", s.Account.Name, s.err), Remedy: remedy(s.err, s.host())}}
	case s.Status == http.StatusBadGateway, s.Status == http.StatusServiceUnavailable, s.Status == http.StatusGatewayTimeout:
		return []Finding{{Severity: Warning, About: aboutBrokers, Message: fmt.Sprintf("%s answers HTTP %d: nobody is behind its gateway", s.host(), s.Status),
			Remedy: "it is the broker's to mend; refreshing is tried again and again"}}
	case !s.CertificateEnds.IsZero() && left < endsSoon:
		return []Finding{{Severity: Warning, About: aboutBrokers, Message: fmt.Sprintf("the TLS certificate of %s ends in %s, and nothing is sent to it from then on", s.host(), moment.Span(left.Truncate(time.Minute))),
			Remedy: "whose it is (the broker's, or that of a proxy which looks into TLS) has to renew it"}}
	}
	return nil
}

// remedy is what to do about a broker that can't be reached.
func remedy(err error, host string) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	name, _, split := net.SplitHostPort(host)
	if split != nil {
		name = host
	}
	switch {
	case errors.As(err, &dns):
		return "ask the machine's resolver: getent hosts " + name + "; if the service has a proxy in its environment, run this with that too"
	case errors.As(err, &certificate):
		return "look at the machine's clock, and at what is on the way to it"
	}
	return "look at the network, the firewall and the proxy (settings.proxy, or HTTPS_PROXY, which is that of whoever runs this and need not be the service's)"
}

// clock compares this machine's with those of the brokers, of which the nearest counts:
// one may be wrong itself.
func (w World) clock(seen []sight) (found []Finding, err error) {
	var nearest *sight
	for i, s := range seen {
		if s.err == nil && s.Dated && (nearest == nil || s.Ahead.Abs() < nearest.Ahead.Abs()) {
			nearest = &seen[i]
		}
	}
	kept, err := w.Synchronized()
	const set = "have it set: timedatectl set-ntp true, or install chrony"
	if nearest != nil && nearest.Ahead.Abs() >= apart {
		f := Finding{Severity: Warning, About: aboutClock, Remedy: set}
		if nearest.Ahead.Abs() >= farApart {
			f.Severity = Fault
		}
		which := "behind"
		if nearest.Ahead < 0 {
			which = "ahead of"
		}
		f.Message = fmt.Sprintf("this machine's clock is %s %s that of %s", moment.Span(nearest.Ahead.Abs().Round(time.Second)), which, nearest.host())
		return []Finding{f}, nil
	}
	switch {
	case err != nil && nearest == nil:
		return nil, fmt.Errorf("the clock: no broker has told the time, and the kernel does not say whether it is kept right: %w", err)
	case err != nil:
		return nil, nil
	case !kept:
		f := Finding{Severity: Warning, About: aboutClock, Message: "nothing keeps this machine's clock right: the kernel says that it is not synchronised", Remedy: set}
		if nearest != nil {
			f.Message += " (now it agrees with that of " + nearest.host() + ")"
		}
		return []Finding{f}, nil
	}
	return nil, nil
}
