package control_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Each scraper gets the format that it asks for, and who asks for none gets text.
func TestMetricsInTheFormatThatIsAskedFor(t *testing.T) {
	socket, _, _ := serve(t, &backend{})
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	const sample = "tokenkeeper_account_valid{account=\"main\",provider=\"\"} 0"
	for accept, want := range map[string]struct{ format, line, end string }{
		"":    {"text/plain; version=0.0.4", sample + "\n", "\n"},
		"*/*": {"text/plain; version=0.0.4", sample + "\n", "\n"},
		"application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5": {"application/openmetrics-text; version=1.0.0", sample + ".0\n", "\n# EOF\n"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/v1/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", accept)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !strings.HasPrefix(resp.Header.Get("Content-Type"), want.format) || !strings.Contains(string(body), want.line) || !strings.HasSuffix(string(body), want.end) {
			t.Errorf("%q: %v, %s\n%s", accept, err, resp.Header.Get("Content-Type"), body)
		}
	}
}
