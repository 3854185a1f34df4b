// Consumer calls a broker's API with each new token of an account:
//
//	consumer CONTROL_SOCKET ACCOUNT URL
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/client"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: consumer CONTROL_SOCKET ACCOUNT URL")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	follow(ctx, os.Args[1], os.Args[2], os.Args[3])
}

func follow(ctx context.Context, socket, account, url string) {
	c := client.New(socket)
	defer c.Close()
	// Each request carries the token that is the newest at that moment.
	broker := &http.Client{Transport: c.Transport(account, nil), Timeout: 10 * time.Second}
	for tok, err := range c.Watch(ctx, account) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err) // it goes on trying
			continue
		}
		status, err := call(ctx, broker, url)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		fmt.Printf("version %d until %s: the API answers %s\n", tok.Version, tok.Expiry.Format(time.RFC3339), status)
	}
}

func call(ctx context.Context, broker *http.Client, url string) (status string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := broker.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.Status, nil
}
