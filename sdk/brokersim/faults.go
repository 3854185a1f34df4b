package brokersim

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// LostAnswer closes the connection without a byte of an answer. As it is,
// nothing is spent; at AfterProcessing the token is spent and its successor
// reaches nobody.
func LostAnswer() Fault { return Fault{Drop: true} }

// Cut spends the token and ends the connection in the middle of the answer's
// body, after n bytes, or half-way if n is 0.
func Cut(n int) Fault { return Fault{Cut: true, CutAfter: n} }

// Delay keeps the request for d (of the clock, not divided by Speed) and then
// goes on.
func Delay(d time.Duration) Fault { return Fault{Delay: d} }

// Drip sends the answer's body byte by byte.
func Drip(between time.Duration) Fault { return Fault{Drip: between} }

// TooManyRequests answers 429 (RFC 6585, section 4). retryAfter is the header
// as it is sent: seconds or a date (RFC 9110, section 10.2.3); empty: none.
func TooManyRequests(retryAfter string) Fault {
	a := jsonAnswer(http.StatusTooManyRequests, map[string]any{"message": "rate limit exceeded"})
	if retryAfter != "" {
		a.Header.Set("Retry-After", retryAfter)
	}
	return Fault{Answer: &a}
}

// ServerError answers a plain-text error such as 500, 502 or 503.
func ServerError(status int) Fault {
	return Respond(status, "text/plain; charset=utf-8", http.StatusText(status))
}

// HTMLForbidden answers the HTML 403 of a front end that blocks an address
// for a while; it has been seen before Schwab's token endpoint and clears by
// itself.
func HTMLForbidden() Fault {
	return Respond(http.StatusForbidden, "text/html", "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n"+
		"<H1>Access Denied</H1>\nYou don't have permission to access this server.<P>\nReference&#32;#18.0\n</BODY></HTML>\n")
}

// Garbage answers 200 with a body that is no JSON, though its head says so.
func Garbage() Fault {
	return Respond(http.StatusOK, "application/json", "\x00\xff{\"access_token\": \"\xc3\x28")
}

// HugeBody answers 200 with a JSON object of more than n bytes.
func HugeBody(n int64) Fault {
	a := Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, pad: n}
	return Fault{Answer: &a}
}

// Redirect answers with a redirect (302, 307, 308 …) to this same endpoint: a
// client that follows a 307 posts the refresh token a second time. tokenURL is
// [Server.TokenURL].
func Redirect(status int, tokenURL string) Fault {
	f := Respond(status, "text/html", "")
	f.Answer.Header.Set("Location", tokenURL)
	return f
}

// Respond answers as given.
func Respond(status int, contentType, body string) Fault {
	return Fault{Answer: &Answer{
		Status: status,
		Header: http.Header{"Content-Type": {contentType}},
		Body:   []byte(body),
	}}
}

// InvalidGrant refuses in the broker's own words a token that is good and
// stays so.
func InvalidGrant() Fault { return Fault{OAuthError: codeInvalidGrant} }

// InvalidClient refuses the client in the broker's own words.
func InvalidClient() Fault { return Fault{OAuthError: codeInvalidClient} }

// WithField puts value into the granted answer. json.RawMessage carries what
// Go's numbers can't, such as 1e400.
func WithField(name string, value any) Fault {
	return Fault{Change: func(members map[string]any) { members[name] = value }}
}

// WithoutField takes a member out of the granted answer. For refresh_token it
// also keeps the old one in use, which is what such an answer means (RFC 6749,
// section 6).
func WithoutField(name string) Fault {
	return Fault{
		KeepRefreshToken: name == "refresh_token",
		Change:           func(members map[string]any) { delete(members, name) },
	}
}

// Compressed compresses the granted answer as coding says, though nobody asked
// for it: content networks do. quiet leaves the header out.
func Compressed(coding string, quiet bool) Fault { return Fault{Coding: coding, Quiet: quiet} }

// NoAccessToken spends the refresh token and answers with the new one and an
// empty access token.
func NoAccessToken() Fault { return WithField("access_token", "") }

// OddLifetimes are the granted answers whose expires_in is missing or not the
// positive whole number that RFC 6749, section 5.1, describes.
func OddLifetimes() []Fault {
	return []Fault{
		WithoutField("expires_in"),
		WithField("expires_in", nil),
		WithField("expires_in", ""),
		WithField("expires_in", strconv.Itoa(1200)),
		WithField("expires_in", "soon"),
		WithField("expires_in", 1199.5),
		WithField("expires_in", 0),
		WithField("expires_in", -17),
		WithField("expires_in", int64(1)<<62),
		WithField("expires_in", true),
	}
}

// HarmlessFaults cost time but no token, for [Server.Chaos]: after each of
// them the client either has the newest refresh token or may use the one that
// it sent again.
func HarmlessFaults() []Fault {
	faults := []Fault{
		LostAnswer(),
		Delay(50 * time.Millisecond), Delay(50 * time.Millisecond).At(AfterProcessing),
		TooManyRequests("1"), TooManyRequests(""),
		HTMLForbidden(), Garbage(), HugeBody(2 << 20),
		Respond(http.StatusUnauthorized, "text/plain", ""),
		WithoutField("refresh_token"), WithoutField("token_type"),
	}
	for _, status := range []int{500, 502, 503, 504} {
		faults = append(faults, ServerError(status))
	}
	return append(faults, OddLifetimes()...)
}

// HardToReadFaults spend the token and deliver the new one whole, to a client
// that takes the trouble to read it; to any other, they are [LossyFaults].
func HardToReadFaults() []Fault {
	return []Fault{
		Compressed("gzip", false), Compressed("deflate", false), Compressed("raw-deflate", false),
		Compressed("gzip", true), Compressed("deflate", true), NoAccessToken(),
	}
}

// LossyFaults spend the token and deliver no whole answer, for [Server.Chaos].
// Where refresh tokens are single-use and there is no grace, each of them ends
// the grant.
func LossyFaults() []Fault {
	return []Fault{
		LostAnswer().At(AfterProcessing),
		ServerError(http.StatusBadGateway).At(AfterProcessing),
		Cut(0), Cut(1),
	}
}

// String names what the fault does, for test output.
func (f Fault) String() string {
	what := "shaped answer"
	switch {
	case f.Drop:
		what = "lost answer"
	case f.OAuthError != "":
		what = f.OAuthError
	case f.Answer != nil:
		what = fmt.Sprintf("answer %d", f.Answer.Status)
	case f.Cut:
		what = "cut answer"
	case f.Coding != "":
		what = "answer in " + f.Coding
		if f.Quiet {
			what += ", unsaid"
		}
	case f.Hold != nil:
		what = "hold"
	case f.Delay > 0:
		what = "delay of " + f.Delay.String()
	}
	if f.Stage == AfterProcessing {
		what += " after processing"
	}
	return what
}
