// Package sharedfiletest is a trading bot that refreshes a grant which it
// shares with others, in the way in which bots do: lock, read, refresh, write
// to a temporary file with a fixed name, rename, unlock. It runs as a process
// of its own and shares no code with package sharedfile, so that it can't
// share its misunderstandings.
package sharedfiletest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"
)

// Bot is one bot. Its file is a saxo-cache; the broker is brokersim's Saxo or
// whatever answers like it.
type Bot struct {
	Path, Lock string
	// TokenURL of the broker. The client's key and secret are in the file.
	TokenURL string
	// Refreshes to do; 0: to go on until it is killed.
	Refreshes int
	// Pause is the longest between two refreshes.
	Pause time.Duration
	// Hang: take the lock, print a line and hold it until killed.
	Hang bool
}

// Refresh is what a bot prints for each refresh, as a line of JSON: the
// refresh token that it used and the one that it got. They are worth nothing
// outside of a test.
type Refresh struct{ Used, Got string }

// Run is the bot's work. It prints to out.
func (b Bot) Run(ctx context.Context, out io.Writer) error {
	client := &http.Client{Timeout: 10 * time.Second}
	for n := 0; b.Refreshes == 0 || n < b.Refreshes; n++ {
		if err := b.once(ctx, client, out); err != nil {
			return fmt.Errorf("refresh %d: %w", n+1, err)
		}
		if b.Pause > 0 {
			if err := wait(ctx, rand.N(b.Pause)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b Bot) once(ctx context.Context, client *http.Client, out io.Writer) error {
	lock, err := os.OpenFile(b.Lock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close() // gives the lock back
	for {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if err := wait(ctx, time.Millisecond+rand.N(2*time.Millisecond)); err != nil {
			return err
		}
	}
	if b.Hang {
		fmt.Fprintln(out, "locked")
		<-ctx.Done()
		return ctx.Err()
	}
	raw, err := os.ReadFile(b.Path)
	if err != nil {
		return err
	}
	file := map[string]any{}
	if err := json.Unmarshal(raw, &file); err != nil {
		return fmt.Errorf("the file is not whole under its lock: %w", err)
	}
	used, _ := file["refresh_token"].(string)
	answer, err := b.post(ctx, client, file)
	if err != nil {
		return err
	}
	file["access_token"], file["refresh_token"] = answer.AccessToken, answer.RefreshToken
	file["token_expiry"] = time.Now().Add(time.Duration(answer.ExpiresIn)*time.Second - time.Minute).Format("2006-01-02T15:04:05.000000")
	if err := b.write(file); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(Refresh{Used: used, Got: answer.RefreshToken})
}

func (b Bot) write(file map[string]any) error {
	raw, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	temporary := strings.TrimSuffix(b.Path, ".json") + ".tmp"
	if err := os.WriteFile(temporary, raw, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, b.Path)
}

type answer struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func (b Bot) post(ctx context.Context, client *http.Client, file map[string]any) (a answer, err error) {
	form := url.Values{"grant_type": {"refresh_token"}}
	for field, key := range map[string]string{"refresh_token": "refresh_token", "client_id": "app_key", "client_secret": "app_secret"} {
		v, _ := file[key].(string)
		form.Set(field, v)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		body, _ := io.ReadAll(resp.Body)
		return a, fmt.Errorf("the broker answered %s: %s", resp.Status, body)
	}
	return a, json.NewDecoder(resp.Body).Decode(&a)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
