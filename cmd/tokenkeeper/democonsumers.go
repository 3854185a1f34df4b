package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// counts is how many tokens came, by account.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int{}
	}
	c.n[name]++
}

func (c *counts) received() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// demoBot stands for a trading bot: it takes one message per connection with
// one read, and answers OK.
type demoBot struct {
	counts
	listener net.Listener
}

func newDemoBot(path string) (*demoBot, error) {
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("start the demo's bot: %w", err)
	}
	b := &demoBot{listener: l}
	go b.serve()
	return b, nil
}

func (b *demoBot) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.take(conn)
	}
}

func (b *demoBot) take(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil {
		return
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(buf[:n], &token) != nil || token.AccessToken == "" {
		_, _ = io.WriteString(conn, "ERROR")
		return
	}
	b.add("tokens")
	_, _ = io.WriteString(conn, "OK")
}

func (b *demoBot) close() { _ = b.listener.Close() }

// demoHook receives webhooks and accepts only those whose signature is right.
type demoHook struct {
	counts
	url, secret string
	server      *http.Server
	verifier    *standardwebhooks.Webhook
}

func newDemoHook() (*demoHook, error) {
	key := make([]byte, 24)
	_, _ = rand.Read(key)
	h := &demoHook{secret: "whsec_" + base64.StdEncoding.EncodeToString(key)}
	var err error
	if h.verifier, err = standardwebhooks.NewWebhook(h.secret); err != nil {
		return nil, fmt.Errorf("start the demo's webhook receiver: %w", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the demo's webhook receiver: %w", err)
	}
	h.url = "http://" + l.Addr().String() + "/token"
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = h.server.Serve(l) }()
	return h, nil
}

func (h *demoHook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil || h.verifier.Verify(body, r.Header) != nil {
		http.Error(w, "bad signature", http.StatusUnauthorized)
		return
	}
	var payload struct {
		Data struct {
			Account string `json:"account"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &payload) != nil {
		http.Error(w, "bad payload", http.StatusBadRequest)
		return
	}
	h.add("hook " + payload.Data.Account)
	w.WriteHeader(http.StatusNoContent)
}

func (h *demoHook) close() { _ = h.server.Close() }
