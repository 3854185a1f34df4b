package oauth

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/crashpoint"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// maxBody bounds what is read of an answer. Real ones are a few KiB.
const maxBody = 1 << 20

var errSecondPost = errors.New("a second request in one attempt was refused")

// onePost is the RoundTripper under x/oauth2. It lets one request through, has
// the answer durable before it is read, and leaves the outcome in token and
// err: what x/oauth2 makes of the answer is not used, because it would fill in
// the old refresh token, fail on odd lifetimes and print bodies.
type onePost struct {
	attempt
	used  bool
	token sdk.Token
	err   error
}

// RoundTrip implements [http.RoundTripper].
func (p *onePost) RoundTrip(req *http.Request) (*http.Response, error) {
	if p.used {
		return nil, errSecondPost
	}
	p.used = true
	var ans answer
	if ans, p.err = p.send(req); p.err != nil {
		return nil, p.err
	}
	if p.slot != nil {
		// If the disk fails the token is used all the same; package sdk asks
		// the slot and reports the fault.
		_ = p.slot.Record(ans.encode())
	}
	if p.token, p.err = p.endpoint.read(p.account.Name, ans); p.err != nil {
		return nil, p.err
	}
	return &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(`{"access_token":"held elsewhere"}`)),
		Request:    req,
	}, nil
}

// send makes the request and returns what came back, whole or not. Its errors
// are complete.
func (p *onePost) send(req *http.Request) (answer, error) {
	gate := &gate{}
	if p.slot != nil {
		gate.before = func() error {
			err := p.slot.Advance(spool.Sent)
			crashpoint.Here("oauth: marked as sent, nothing written")
			return err
		}
	}
	way := newRoute(p.account)
	out, err := p.rewrite(req, gate, way)
	if err != nil {
		return answer{}, p.notSent(err.Error())
	}
	transport, err := p.client.transport(gate, way, p.account, p.endpoint.Requests.Certificate)
	if err != nil {
		return answer{}, p.notSent(err.Error())
	}
	crashpoint.Here("oauth: about to connect")
	resp, err := transport.RoundTrip(out)
	switch {
	case errors.Is(gate.fault(), spool.ErrSent):
		return answer{}, p.sentBefore()
	case gate.fault() != nil:
		return answer{}, p.notSent("the spool can't be written: " + gate.fault().Error())
	case err != nil && !gate.passed():
		return answer{}, p.notSent(way.reason(err, p.endpoint.host()))
	case err != nil && out.URL.Scheme == "http" && gate.metTLS():
		return answer{}, p.ambiguous("it speaks TLS on this port: write https:// into its address")
	case err != nil:
		return answer{}, p.ambiguous(way.reason(err, p.endpoint.host()))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	crashpoint.Here("oauth: the answer is read")
	ans := answer{
		meta: meta{
			Status:          resp.StatusCode,
			Date:            resp.Header.Get("Date"),
			ContentType:     resp.Header.Get("Content-Type"),
			ContentEncoding: strings.Join(resp.Header.Values("Content-Encoding"), ","),
			RetryAfter:      resp.Header.Get("Retry-After"),
			Received:        time.Now().UTC().Round(0),
			Private:         reveal(p.endpoint.Private),
			Sent:            p.sent,
			Exchange:        p.exchange,
			Renews:          p.renews,
		},
		body: body,
	}
	if err != nil {
		ans.Incomplete = reason(err)
	}
	if len(body) > maxBody {
		ans.body = body[:maxBody]
		if ans.ok() { // an error page of any length is an error page
			ans.Incomplete = tooLong
		}
	}
	return ans, nil
}

// rewrite copies x/oauth2's request as the server wants it worded, and without a
// way to send the body twice.
func (p *onePost) rewrite(req *http.Request, gate *gate, way *route) (*http.Request, error) {
	raw, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, errors.New("the request's form can't be read")
	}
	form, err := url.ParseQuery(string(raw))
	if err != nil {
		return nil, errors.New("the request's form can't be parsed")
	}
	if err := p.endpoint.Requests.amend(form, p.endpoint, p.account.ClientID); err != nil {
		return nil, err
	}
	if p.endpoint.EditForm != nil {
		p.endpoint.EditForm(form)
	}
	out := req.Clone(traced(req.Context(), gate, way))
	out.GetBody = nil
	out.Close = true
	out.Header.Set("Accept", "application/json")
	// A compressed answer would only be one more thing that can go wrong.
	out.Header.Set("Accept-Encoding", "identity")
	out.Header.Set("User-Agent", "tokenkeeper")
	for name, value := range p.endpoint.Requests.Header {
		out.Header.Set(name, value)
	}
	if err := p.endpoint.Requests.encode(form, out); err != nil {
		return nil, err
	}
	return out, nil
}

func reveal(m map[string]sdk.Secret) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v.Reveal()
	}
	return out
}
