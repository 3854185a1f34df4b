package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// This file compares how the Python provider reads answers with how package oauth does.

// TestPythonProviderKeepsWhatTheSDKKeeps: of a success that is nothing but a text, the
// example and package oauth have one word on whether it may be a token.
func TestPythonProviderKeepsWhatTheSDKKeeps(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	texts := []struct {
		text  string
		holds bool
	}{
		{"", false}, {"ok", false}, {"service temporarily unavailable", false}, {"<html><body>aB3dE6gH9jK2mN5pQ8sT1vW4</body></html>", false},
		{"aB3dE6gH9jK2mN5pQ8sT1vW", false}, // of 23
		{"aB3dE6gH9jK2mN5pQ8sT1vW4", true}, {"aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bD0fG3hJ6==", true}, {" aB3dE6gH9jK2mN5pQ8sT1vW4\n", true}, {"abcdefghijkl~ABCDEFGHIJKL", true},
		{"4bf92f3577b34da6a3ce929d0e0e4736", false}, // the number of a trace
		{"InternalServerErrorOccurred500", false}, {"abcdefghijklmnopqrstuvwxyz012345", false},
		{"4bf92f3577b34da6a3ce929d0e0e473600f067aa", true}, // of 40
		{"abcdefghijklmnopqrstuvwxyzabcdefghijklmnop", false}, {"0123456789012345678901234567890123456789", false},
		{"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", true}, {"eyJhbGciOiJub25lIn0.eyJ.", false},
		{"the request 4bf92f3577b34da6a3ce929d0e0e473600f067aa was heard", false}, {"/a/4bf92f3577b34da6a3ce929d0e0e473600f067aa", false},
		{`"aB3dE6gH9jK2mN5pQ8sT1vW4"`, true}, {`"ok"`, false}, {`["aB3dE6gH9jK2mN5pQ8sT1vW4"]`, false},
	}
	var sent []string
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, texts[n].text)
	}))
	t.Cleanup(broker.Close)
	for n, tt := range texts {
		sent = append(sent, tt.text)
		_, err := (&oauth.Client{}).Refresh(t.Context(), oauth.Endpoint{TokenURL: fmt.Sprintf("%s/%d", broker.URL, n), AuthStyle: oauth2.AuthStyleInHeader},
			sdk.RefreshRequest{Account: sdk.Account{Name: "main", ClientID: "app", ClientSecret: sdk.NewSecret("s")}, Token: sdk.Token{RefreshToken: sdk.NewSecret("r")}})
		if e, ok := errors.AsType[*sdk.Error](err); !ok || e.Unread != tt.holds {
			t.Errorf("package oauth: of %q: %v, want it kept: %t", tt.text, err, tt.holds)
		}
	}
	list, err := json.Marshal(sent)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), python3, "-c", pythonParts, filepath.Dir(pythonProvider(t)), "holds", string(list)).Output()
	said := strings.Fields(string(out))
	if err != nil || len(said) != len(texts) {
		t.Fatalf("%v: %s", err, out)
	}
	for n, tt := range texts {
		if (said[n] == "True") != tt.holds {
			t.Errorf("the example: of %q: %s, want %t", tt.text, said[n], tt.holds)
		}
	}
}

// endpointAnswers are what a token endpoint may send, each read alike by package oauth and
// by the example.
var endpointAnswers = map[string]struct {
	status      int
	kind, retry string // its Content-Type, if that is not JSON's, and its Retry-After
	body        string
}{
	"a token":                              {status: 200, body: `{"access_token":"a","refresh_token":"r"}`},
	"a token, and a word of an error":      {status: 200, body: `{"access_token":"a","refresh_token":"r","error":"invalid_grant"}`},
	"a refusal":                            {status: 400, body: `{"error":"invalid_grant"}`},
	"a refusal as 401":                     {status: 401, body: `{"error":"invalid_grant"}`},
	"a refusal under a success":            {status: 200, body: `{"error":"invalid_grant"}`},
	"of the client, under a success":       {status: 200, body: `{"error":"unauthorized_client"}`},
	"another error, under a success":       {status: 200, body: `{"error":"temporarily_unavailable"}`},
	"the same, to come back later":         {status: 200, retry: "7", body: `{"error":"temporarily_unavailable"}`},
	"a refusal under a success, in a page": {status: 200, kind: "text/html; charset=utf-8", body: `{"error":"invalid_grant"}`},
	"a refusal in a page":                  {status: 400, kind: "text/html", body: `{"error":"invalid_grant"}`},
	"no code of an error":                  {status: 200, body: `{"error":"Invalid Grant"}`},
	"an error that is no text":             {status: 200, body: `{"error":{"error":"invalid_grant"}}`},
	"an error and what may be a token":     {status: 200, body: `{"error":"invalid_grant","refreshed":"abcdefghijklmnop0123456789"}`},
	"what may be a token":                  {status: 200, body: `{"refreshed":"abcdefghijklmnop0123456789"}`},
	"a refusal in a list":                  {status: 200, body: `[{"error":"invalid_grant"}]`},
	"a refusal that is cut off":            {status: 400, body: `{"error":"invalid_grant"`},
	"a refusal as 403":                     {status: 403, body: `{"error":"invalid_grant"}`},
	"a refusal as 500":                     {status: 500, body: `{"error":"invalid_grant"}`},
	"a refusal as 429":                     {status: 429, retry: "7", body: `{"error":"invalid_grant"}`},
	"a refusal, to come back later":        {status: 400, retry: "7", body: `{"error":"invalid_grant"}`},
	"503, to come back later":              {status: 503, kind: "text/html", retry: "120", body: "<p>busy"},
	"nothing":                              {status: 200},
	"a page":                               {status: 200, kind: "text/html", body: "<h1>Welcome</h1>"},
}

// TestPythonProviderReadsAnswersAlike: what an answer means does not depend on the
// language of the provider.
func TestPythonProviderReadsAnswersAlike(t *testing.T) {
	skipUnlessRaced(t)
	t.Parallel()
	lib := filepath.Dir(pythonProvider(t))
	names := slices.Sorted(maps.Keys(endpointAnswers))
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(filepath.Base(r.URL.Path))
		if err != nil {
			t.Error(err)
		}
		a := endpointAnswers[names[n]]
		w.Header().Set("Content-Type", cmp.Or(a.kind, "application/json"))
		if a.retry != "" {
			w.Header().Set("Retry-After", a.retry)
		}
		w.WriteHeader(a.status)
		_, _ = io.WriteString(w, a.body)
	}))
	t.Cleanup(broker.Close)
	var stderr strings.Builder
	cmd := exec.CommandContext(t.Context(), python3, "-c", pythonParts, lib, "read", fmt.Sprintf("%s#%d", broker.URL, len(names)))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	got := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if err != nil || len(got) != len(names) {
		t.Fatalf("%v: %d answers were read of %d: %s\n%s", err, len(got), len(names), out, &stderr)
	}
	for n, name := range names {
		token, err := (&oauth.Client{}).Refresh(t.Context(), oauth.Endpoint{
			TokenURL: fmt.Sprintf("%s/%d", broker.URL, n), AuthStyle: oauth2.AuthStyleInParams, DefaultLifetime: time.Minute,
		}, sdk.RefreshRequest{
			Account: sdk.Account{Name: "main", ClientID: "app", ClientSecret: sdk.NewSecret("secret")},
			Token:   sdk.Token{RefreshToken: sdk.NewSecret("spent")},
		})
		want := fmt.Sprintf("token %s %s", token.AccessToken.Reveal(), token.RefreshToken.Reveal())
		if e := (*sdk.Error)(nil); errors.As(err, &e) {
			want = fmt.Sprintf("%s %s %d %s", e.Kind, e.OAuthError, int(e.RetryAfter.Seconds()), map[bool]string{true: "True", false: "False"}[e.Unread])
		} else if err != nil {
			t.Fatal(err)
		}
		// A code from which nothing follows is told by the one and not by the other.
		if kind, _, _ := strings.Cut(want, " "); kind == string(sdk.KindTransient) || kind == string(sdk.KindRateLimited) {
			want = strings.ReplaceAll(want, " temporarily_unavailable ", "  ")
		}
		if got[n] != want {
			t.Errorf("%s: it is %q in Python and %q in Go", name, got[n], want)
		}
	}
}
