package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// RevokePlan is the answer of GET /v1/accounts/{account}/revoke: what revoking the login
// of an account would end. Nobody is asked for it. If it can't be revoked the answer is an
// [Error] that says why, as of the revocation.
type RevokePlan struct {
	Account  string `json:"account"`
	Provider string `json:"provider"`
	// Version of the token whose login would be over, and when its access token expires.
	Version         uint64    `json:"version"`
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
	// Ends is what the broker ends: token, grant or client; "": its provider has not said
	// so yet. Others are the other accounts whose logins end, too, as far as the
	// configuration knows them.
	Ends   string   `json:"ends,omitempty"`
	Others []string `json:"others,omitempty"`
	// SharedFile is the account's shared file: the refresh token is taken out of it.
	SharedFile string `json:"shared_file,omitempty"`
}

// What a revocation ends, see [RevokePlan.Ends].
const (
	EndsToken  = string(sdk.RevokesToken)
	EndsGrant  = string(sdk.RevokesGrant)
	EndsClient = string(sdk.RevokesClient)
)

// RevokeAnswer is the answer of POST /v1/accounts/{account}/revoke: the broker has said
// that the login is over. An [Error] with the code outcome_unknown says that nobody knows;
// any other that nothing was revoked.
type RevokeAnswer struct {
	Account  string `json:"account"`
	Provider string `json:"provider"`
	// Version of the token whose login is over, and since when.
	Version uint64    `json:"version"`
	Revoked time.Time `json:"revoked_at"`
	// Took is how long the broker took to say so.
	Took time.Duration `json:"took_ns"`
	// Expiry of the access token that sinks have and keep. It may be dead before.
	Expiry          time.Time `json:"expires_at,omitzero"`
	ExpiryUncertain bool      `json:"expiry_uncertain,omitempty"`
	// Ends and Others are as in [RevokePlan]. That their logins are over the others find out
	// at their next refreshes.
	Ends   string   `json:"ends"`
	Others []string `json:"others,omitempty"`
	// SharedFile is the account's shared file, out of which the refresh token was taken.
	// SharedFileError is why it stands there still, which is tried again; "": it does not.
	SharedFile      string `json:"shared_file,omitempty"`
	SharedFileError string `json:"shared_file_error,omitempty"`
}

func (s *Server) revoke(_ http.ResponseWriter, r *http.Request) (any, error) {
	agreed := r.URL.Query().Get("ends")
	switch agreed {
	case "", EndsToken, EndsGrant, EndsClient:
		return s.backend.Revoke(r.Context(), r.PathValue("account"), agreed, caller(r))
	}
	return nil, Errorf(CodeBadRequest, "ends must be %s, %s or %s, not %q", EndsToken, EndsGrant, EndsClient, agreed)
}

func (s *Server) forgetAccount(_ http.ResponseWriter, r *http.Request) (any, error) {
	revoke, err := flag(r, "revoke")
	if err != nil {
		return nil, err
	}
	return s.backend.ForgetAccount(r.Context(), r.PathValue("account"), revoke, caller(r))
}

// RevokePlan says what revoking the account's login would end.
func (c AccountCalls) RevokePlan(ctx context.Context, account string) (RevokePlan, error) {
	return call[RevokePlan](ctx, c.line, lookTimeout, http.MethodGet, "/v1/accounts/"+url.PathEscape(account)+"/revoke", nil, nil)
}

// Revoke has the broker end the account's login, and what a person has agreed to end with
// it: [RevokePlan.Ends].
func (c AccountCalls) Revoke(ctx context.Context, account, agreed string) (RevokeAnswer, error) {
	return call[RevokeAnswer](ctx, c.line, workTimeout, http.MethodPost, "/v1/accounts/"+url.PathEscape(account)+"/revoke", url.Values{"ends": {agreed}}, nil)
}
