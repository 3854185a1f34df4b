package control

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// This file holds the calls by which a person pauses and resumes accounts: on his side, and
// on the supervisor's.

// Pause is by whom, since when, until when and why nothing is asked of an account's broker.
type Pause = store.Pause

// PauseRequest is the word that pauses an account, or all of them.
type PauseRequest struct {
	// Account is "" for all that are configured.
	Account string
	// For is after how long the pause is over by itself; 0: never.
	For time.Duration
	// Reason in the person's words; "": none.
	Reason string
	By     event.Caller
}

// PauseAnswer is the answer of POST /v1/accounts/{account}/pause.
type PauseAnswer struct {
	Account string `json:"account"`
	Pause   Pause  `json:"pause"`
	// Already: it was paused before. InFlight: an attempt was begun before, and is heard
	// out.
	Already  bool `json:"already,omitempty"`
	InFlight bool `json:"in_flight,omitempty"`
}

// PauseAnswers is the answer of POST /v1/pause.
type PauseAnswers struct {
	Accounts []PauseAnswer `json:"accounts"`
}

// ResumeAnswer is the answer of POST /v1/accounts/{account}/resume.
type ResumeAnswer struct {
	Account string `json:"account"`
	// Resumed is false if it was not paused, and nothing has changed. Pause is what has
	// held until now.
	Resumed bool   `json:"resumed"`
	Pause   *Pause `json:"pause,omitempty"`
	// Due is when it has its next turn now; not set: it has none.
	Due time.Time `json:"due,omitzero"`
}

// ResumeAnswers is the answer of POST /v1/resume.
type ResumeAnswers struct {
	Accounts []ResumeAnswer `json:"accounts"`
}

const (
	// longestPause bounds one that is over by itself, and longestReason what it is for.
	longestPause  = 366 * 24 * time.Hour
	longestReason = 200
)

// PauseCalls are those that pause and resume accounts.
type PauseCalls struct{ line *line }

// Pause keeps the supervisor from asking the account's broker for anything by itself.
func (c PauseCalls) Pause(ctx context.Context, req PauseRequest) (PauseAnswer, error) {
	return call[PauseAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(req.Account)+"/pause", req.query(), nil)
}

// PauseAll is Pause of every account that is configured.
func (c PauseCalls) PauseAll(ctx context.Context, req PauseRequest) (PauseAnswers, error) {
	return call[PauseAnswers](ctx, c.line, workTimeout, http.MethodPost, "/v1/pause", req.query(), nil)
}

// Resume ends a pause.
func (c PauseCalls) Resume(ctx context.Context, account string) (ResumeAnswer, error) {
	return call[ResumeAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/resume", nil, nil)
}

// ResumeAll is Resume of every account that is configured.
func (c PauseCalls) ResumeAll(ctx context.Context) (ResumeAnswers, error) {
	return call[ResumeAnswers](ctx, c.line, workTimeout, http.MethodPost, "/v1/resume", nil, nil)
}

func (r PauseRequest) query() url.Values {
	query := url.Values{}
	if r.For > 0 {
		query.Set("for", r.For.String())
	}
	if r.Reason != "" {
		query.Set("reason", r.Reason)
	}
	return query
}

// pauseRequest is what a caller wants.
func pauseRequest(r *http.Request) (req PauseRequest, err error) {
	query := r.URL.Query()
	req = PauseRequest{Account: r.PathValue("account"), Reason: strings.TrimSpace(query.Get("reason")), By: caller(r)}
	if text := query.Get("for"); text != "" {
		if req.For, err = time.ParseDuration(text); err != nil || req.For <= 0 {
			return req, Errorf(CodeBadRequest, "for must be a duration, like 90s, 30m or 2h, not %q", text)
		}
	}
	return req, req.Check()
}

// Check says what is wrong with it; nil: nothing.
func (r PauseRequest) Check() error {
	switch {
	case r.For < 0 || r.For > longestPause:
		return Errorf(CodeBadRequest, "a pause that is over by itself must be for a year at most, and not for %s", r.For)
	case utf8.RuneCountInString(r.Reason) > longestReason || !utf8.ValidString(r.Reason) || strings.ContainsFunc(r.Reason, unicode.IsControl):
		return Errorf(CodeBadRequest, "the reason must be one line of at most %d characters", longestReason)
	}
	return nil
}

// pauser answers the calls.
type pauser struct{ backend Backend }

func (p pauser) one(_ http.ResponseWriter, r *http.Request) (any, error) {
	req, err := pauseRequest(r)
	if err != nil {
		return nil, err
	}
	return p.backend.Pause(r.Context(), req)
}

func (p pauser) all(_ http.ResponseWriter, r *http.Request) (any, error) {
	req, err := pauseRequest(r)
	if err != nil {
		return nil, err
	}
	return p.backend.PauseAll(r.Context(), req)
}

func (p pauser) resumeOne(_ http.ResponseWriter, r *http.Request) (any, error) {
	return p.backend.Resume(r.Context(), r.PathValue("account"), caller(r))
}

func (p pauser) resumeAll(_ http.ResponseWriter, r *http.Request) (any, error) {
	return p.backend.ResumeAll(r.Context(), caller(r))
}
