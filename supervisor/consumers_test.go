package supervisor

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// consumers are behind webhooks, which the kernel's news of files can't be waited for in
// simulated time. They live outside of the bubble.
type consumers struct {
	url string

	mu  sync.Mutex
	had map[string]consumed // by the path in the address, which is the sink's name if nothing else is written, and account
	// down are those that answer with 503.
	down map[string]bool
	// may says whose token may come to whom; nil: everybody's to all. once says to whom each
	// version may come once alone; nil: to nobody.
	may  func(path, account string) bool
	once func(path string) bool
	// faults are older versions that came after newer ones, and what may not come.
	faults []string
}

// consumed is what came last.
type consumed struct {
	Account string `json:"account"`
	Version uint64 `json:"version"`
	Access  string `json:"access_token"`
}

func newConsumers(t *testing.T) *consumers {
	c := &consumers{had: map[string]consumed{}}
	server := httptest.NewServer(http.HandlerFunc(c.take))
	server.Config.SetKeepAlivesEnabled(false) // nothing is to wait for a next delivery
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

// take is one delivery.
func (c *consumers) take(w http.ResponseWriter, r *http.Request) {
	var post struct {
		Data consumed `json:"data"`
	}
	if err := json.NewDecoder(r.Body).Decode(&post); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/")
	of := path + " " + post.Data.Account
	wrong := func(format string, args ...any) {
		c.faults = append(c.faults, of+": "+fmt.Sprintf(format, args...))
	}
	if c.may != nil && !c.may(path, post.Data.Account) {
		wrong("version %d came to somebody whom the configuration does not name", post.Data.Version)
	}
	if c.down[path] {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	switch last := c.had[of].Version; {
	case post.Data.Version < last:
		wrong("version %d came after version %d", post.Data.Version, last)
	case post.Data.Version == last && c.once != nil && c.once(path):
		wrong("version %d came twice", last)
	}
	c.had[of] = post.Data
}

// sinkYAML is a sink of that name.
func (c *consumers) sinkYAML(name, more string) string { return c.sinkAt(name, name, more) }

// sinkAt is one that delivers to another path than that of its name.
func (c *consumers) sinkAt(name, path, more string) string {
	return fmt.Sprintf("  %s: {type: webhook, url: \"%s/%s\", proxy: none, events: [token]%s}\n", name, c.url, path, more)
}
