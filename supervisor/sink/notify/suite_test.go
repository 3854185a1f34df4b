package notify_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// timeout of the suite's sinks, which a busy machine may need more than once.
const timeout = time.Second

func newSink(t *testing.T, urls ...string) *notify.Sink {
	t.Helper()
	cfg := notify.Config{Timeout: timeout, Host: "trading-vm"}
	for _, u := range urls {
		cfg.URLs = append(cfg.URLs, sdk.NewSecret(u))
	}
	s, err := notify.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// never is what can't happen to any of these sinks.
var never = map[sinktest.Case]string{
	sinktest.SlowReader: "a message is smaller than any buffer on the way",
	sinktest.FullDisk:   "nothing is written here",
	sinktest.Test:       "a test is a notice that is marked as one",
}

func mapping(more map[sinktest.Case]string) map[sinktest.Case]string {
	all := map[sinktest.Case]string{}
	for _, from := range []map[sinktest.Case]string{never, more} {
		maps.Copy(all, from)
	}
	return all
}

// overHTTP is the suite against a service that speaks HTTP. wrong is an answer
// that is no acknowledgement, "" if the service needs none.
func overHTTP(t *testing.T, urlOf func(host string) string, answer, wrong string) {
	more := map[sinktest.Case]string{}
	if wrong == "" {
		more[sinktest.WrongAck] = "any 2xx is an acknowledgement to this service of the library"
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	defer elsewhere.Close()
	sinktest.Run(t, sinktest.Suite{Carries: sinktest.OnlyNotices, Never: mapping(more), New: func(t *testing.T) sinktest.Destination {
		b := newInbox(t)
		host, appear := httpServer(t, b, answer)
		set := func(mode func(net.Conn, http.ResponseWriter)) func(*testing.T) {
			return func(*testing.T) { b.behave(mode) }
		}
		faults := map[string]sinktest.Fault{
			"a redirect to what would take it": {Case: sinktest.HTTPRedirect, Set: set(status("302 Found", "Location: "+elsewhere.URL))},
			"401":                              {Case: sinktest.HTTPClientError, Set: set(status("401 Unauthorized"))},
			"429":                              {Case: sinktest.HTTPClientError, Set: set(status("429 Too Many Requests", "Retry-After: 7")), RetryAfter: time.Minute},
			"503":                              {Case: sinktest.HTTPServerError, Set: set(status("503 Service Unavailable"))},
			"cut off":                          {Case: sinktest.ResetInAnswer, Set: set(raw("HTTP/1.1 2"))},
			"late answer":                      {Case: sinktest.LateAnswer, Set: func(*testing.T) { b.setLate() }},
			"no answer":                        {Case: sinktest.NoAck, Set: set(b.hang)},
		}
		if wrong != "" {
			faults["wrong answer"] = sinktest.Fault{Case: sinktest.WrongAck, Set: set(raw("HTTP/1.1 200 OK\r\nContent-Length: " + "9\r\n\r\n" + wrong))}
		}
		return sinktest.Destination{
			Sink: newSink(t, urlOf(host)), Appear: appear, Timeout: timeout, Faults: faults,
			Received: func(*testing.T) []string { return b.received() },
			Hang:     set(b.hang), Mend: set(nil),
		}
	}})
}

func TestSuiteNtfy(t *testing.T) {
	t.Parallel()
	overHTTP(t, func(host string) string { return "ntfy://me:pass-" + secret + "@" + host + "/topic?scheme=http" },
		`{"id":"1","event":"message"}`, "<html></>")
}

func TestSuiteGeneric(t *testing.T) {
	t.Parallel()
	overHTTP(t, func(host string) string { return "generic+http://" + host + "/hook?@X-Key=" + secret }, "ok", "")
}

func TestSuiteSMTP(t *testing.T) {
	t.Parallel()
	noHTTP := "it is no HTTP"
	sinktest.Run(t, sinktest.Suite{
		Carries: sinktest.OnlyNotices,
		Never:   mapping(map[sinktest.Case]string{sinktest.HTTPRedirect: noHTTP, sinktest.HTTPClientError: noHTTP, sinktest.HTTPServerError: noHTTP}),
		New: func(t *testing.T) sinktest.Destination {
			host, listen := reserve(t)
			m := &mailServer{inbox: newInbox(t)}
			set := func(mode func(net.Conn, http.ResponseWriter)) func(*testing.T) {
				return func(*testing.T) { m.behave(mode) }
			}
			return sinktest.Destination{
				Sink:     newSink(t, "smtp://me:pass-"+secret+"@"+host+"/?from=keeper@example.com&to=you@example.com"),
				Appear:   func(t *testing.T) { m.serve(t, listen(t)) },
				Received: func(*testing.T) []string { return m.received() },
				Hang:     set(m.hang), Mend: set(nil), Timeout: timeout,
				Faults: map[string]sinktest.Fault{
					"busy":        {Set: set(raw("421 too busy for " + secret + "\r\n"))},
					"cut off":     {Case: sinktest.ResetInAnswer, Set: set(raw("22"))},
					"not SMTP":    {Case: sinktest.WrongAck, Set: set(raw("SSH-2.0-" + secret + "\r\n"))},
					"late answer": {Case: sinktest.LateAnswer, Set: func(*testing.T) { m.setLate() }},
					"no answer":   {Case: sinktest.NoAck, Set: set(m.hang)},
				},
			}
		},
	})
}

var _ sink.Notifier = (*notify.Sink)(nil)
