package notify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/sinktest"
)

// TestNoServiceFollowsRedirects: followed, one turns the message into a GET that
// any page answers with 200, and hands the URL's secrets to another host, in
// headers of its own and in Referer.
func TestNoServiceFollowsRedirects(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		_, _ = w.Write([]byte(`{"ok":true,"id":1}`))
	}))
	t.Cleanup(elsewhere.Close)
	for service, urlOf := range map[string]func(host string) string{
		"ntfy":       func(host string) string { return "ntfy://me:pass-" + secret + "@" + host + "/topic?scheme=http" },
		"generic":    func(host string) string { return "generic+http://" + host + "/hook?@X-Key=" + secret },
		"gotify":     func(host string) string { return "gotify://" + host + "/Aaa.bbb.ccc.ddd?disabletls=yes" },
		"mattermost": func(host string) string { return "mattermost://" + host + "/" + secret + "?disabletls=yes" },
		"bark":       func(host string) string { return "bark://:" + secret + "@" + host + "/?scheme=http" },
	} {
		for _, code := range []int{http.StatusMovedPermanently, http.StatusTemporaryRedirect} {
			t.Run(service+" "+http.StatusText(code), func(t *testing.T) {
				visits.Store(0)
				moved := httptest.NewServer(http.RedirectHandler(elsewhere.URL, code))
				t.Cleanup(moved.Close)
				host := strings.TrimPrefix(moved.URL, "http://")
				err := newSink(t, urlOf(host)).Notify(t.Context(), needsLogin(event.AlertRaised))
				if err == nil || !strings.Contains(err.Error(), "redirect") {
					t.Errorf("the answer was a redirect: %v", err)
				}
				sinktest.AssertNoSecret(t, err)
				if n := visits.Load(); n > 0 {
					t.Errorf("%d requests went to where it leads", n)
				}
			})
		}
	}
}
