package config

import (
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Heartbeat is the sign of life that a service elsewhere waits for.
type Heartbeat struct {
	// URL is a secret as a whole: who knows it can give the sign in our place. It is
	// one of http or https.
	URL   sdk.Secret
	Every time.Duration
	// OnFailure is what is done while something is wrong: [FailSilent] or [FailTold].
	OnFailure string
	// Timeout of one request.
	Timeout time.Duration
	CAFile  string
	Proxy   sdk.Secret
}

// What is done in the place of a sign of life.
const (
	FailSilent = "silent" // nothing, so that it is missed
	FailTold   = "fail"   // the reason is told at the URL with /fail
)

// Bounds of how often the sign is given.
const (
	shortestBeat = time.Second
	longestBeat  = 24 * time.Hour
)

func heartbeatFields() Fields {
	return Fields{
		"url":        {Holds: Secret},
		"every":      {Holds: Duration, Default: 5 * time.Minute},
		"on_failure": {Holds: Word, Default: FailSilent},
		"timeout":    {Holds: Duration, Default: 10 * time.Second},
		"ca_file":    {Holds: Path},
		"proxy":      {Holds: Secret},
	}
}

// decodeHeartbeat returns nil if there is none. The environment alone can say so, too.
func decodeHeartbeat(root Object) *Heartbeat {
	if !root.e.under("heartbeat").usable() {
		return nil
	}
	o := root.Down("heartbeat")
	return &Heartbeat{
		URL: o.Secret("url"), Every: o.Duration("every"), OnFailure: o.Word("on_failure"), Timeout: o.Duration("timeout"),
		CAFile: o.Path("ca_file"), Proxy: Proxy(o, "proxy"),
	}
}

func validateHeartbeat(root Object, h *Heartbeat) {
	if h == nil {
		return
	}
	o := root.Down("heartbeat")
	Within(o, "every", h.Every, shortestBeat, longestBeat)
	AtLeast(o, "timeout", h.Timeout, time.Millisecond)
	Choice(o, "on_failure", FailSilent, FailTold)
	Steered(o, "ca_file", h.CAFile)
	Authorities(o, "ca_file", h.CAFile)
	if !o.Given("url") {
		o.Report(o.At("url"), "the heartbeat has no url", "write url: ${env:NAME}, the address that the service has given you")
	} else if !o.Broken("url") {
		validateBeatURL(o, URL(o, "url", h.URL.Reveal()))
	}
}

func validateBeatURL(o Object, u *url.URL) {
	if u == nil || u.Scheme != "http" {
		return
	}
	OfTLS(o, "ca_file")
	if !Loopback(u) {
		o.Warn(o.At("url"), "the address travels in clear text: who sees it can keep the service believing that all is well", "use https")
	}
}
