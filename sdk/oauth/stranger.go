package oauth

import (
	"bytes"
	"net/http"
)

// wantsTLS are the words with which Go's server, nginx and Apache answer a request in
// clear text on a port of TLS.
var wantsTLS = []string{
	"Client sent an HTTP request to an HTTPS server", "The plain HTTP request was sent to HTTPS port",
	"speaking plain HTTP to an SSL-enabled server port",
}

// stranger says, after a colon, that an answer most likely comes from somebody on the way
// and not from a token endpoint, and from whom; "": nothing says so. It quotes nothing.
func (a answer) stranger(c content) string {
	switch {
	case a.Status == http.StatusNetworkAuthenticationRequired:
		return ": this network wants a login first (captive portal); log in to it from this machine"
	case a.Status == http.StatusProxyAuthRequired:
		return ": a proxy on the way wants a user and a password; write them into its address"
	case a.Status == http.StatusBadRequest && holdsAny(c.text, wantsTLS):
		return ": it speaks TLS on this port; write https:// into its address"
	case a.Status >= 300 && a.Status <= 399:
		return ": a redirect, which is not followed; its address is wrong, or this network wants a login first (captive portal)"
	case a.Status < 500 && isPage(bytes.TrimSpace(c.text), a.mediaType()):
		return ": a web page in the place of JSON; it is from a network that wants a login first (captive portal), from a proxy or a firewall, or its address is wrong"
	}
	return ""
}

func holdsAny(text []byte, words []string) bool {
	for _, word := range words {
		if bytes.Contains(text, []byte(word)) {
			return true
		}
	}
	return false
}
