package sdk

import (
	"context"
	"time"
)

// LoginShape is what a person does to log in, and what comes back of it.
type LoginShape string

const (
	// LoginRedirect: the browser comes back to our redirect address (RFC 6749,
	// section 4.1). It is what an [Authorizer] has.
	LoginRedirect LoginShape = "redirect"
	// LoginPasteAddress: the person copies the address at which the browser ended.
	LoginPasteAddress LoginShape = "paste_address"
	// LoginPasteToken: the person copies a refresh token from the broker's page, as
	// at Questrade and tastytrade.
	LoginPasteToken LoginShape = "paste_token"
	// LoginVerifier: the broker's page shows a short code, which the person types
	// (OAuth 1.0a with oob, RFC 5849, section 2.1).
	LoginVerifier LoginShape = "verifier"
	// LoginDevice: the person types our code at an address, and we poll (RFC 8628).
	LoginDevice LoginShape = "device"
	// LoginApproval: the person approves elsewhere, e.g. in the broker's app, and we
	// poll (Webull).
	LoginApproval LoginShape = "approval"
	// LoginCallback: the person approves elsewhere, and the broker posts the token
	// to an address of ours or of the person's (Upstox). Such a post proves nothing by
	// itself: it is taken for an open login alone, and EndLogin asks the broker before
	// it believes it. One that is not of this login is an error of [KindNotSent], and
	// one that the broker refuses of [KindInvalidGrant]; neither ends the login.
	LoginCallback LoginShape = "callback"
)

// LoginGuide is a Provider that logs a person in otherwise than by a redirect
// alone. [Description.Logins] lists the shapes that it has.
type LoginGuide interface {
	// BeginLogin starts a login. It may ask the broker, e.g. for a device code or a
	// request token, and must be harmless if nobody goes on with it.
	BeginLogin(ctx context.Context, req BeginLoginRequest) (Login, error)
	// EndLogin makes one request that asks for the token, under the rules of
	// [Provider.Refresh]. An error of [KindPending] says that the person is not done
	// yet: the supervisor asks again after Login.PollEvery, as another attempt.
	EndLogin(ctx context.Context, req EndLoginRequest) (Token, error)
}

// Login is a login that has begun.
type Login struct {
	Shape LoginShape
	// Address at which the person goes on; "": none.
	Address string
	// Instructions say what to do, in a sentence or two. They hold no secret but
	// the code that is meant for the person.
	Instructions string
	// UserCode is what the person types at Address (RFC 8628, section 3.2).
	UserCode string
	// Expires is when it can't be ended any more; zero: nobody knows.
	Expires time.Time
	// PollEvery is how long to wait between two EndLogin; 0: nothing is polled.
	PollEvery time.Duration
	// Private comes back with EndLogin and goes nowhere else.
	Private map[string]Secret
}

// BeginLoginRequest asks to start a login of a shape.
type BeginLoginRequest struct {
	Account Account
	Shape   LoginShape
	// State and CodeVerifier are those of an [AuthRequest].
	State        string
	CodeVerifier string
	// CallbackURL is ours for [LoginCallback]; "": there is none, and the person hands
	// in what came to an address that the broker knows.
	CallbackURL string
}

// EndLoginRequest asks for the token of a login.
type EndLoginRequest struct {
	Attempt Attempt
	Account Account
	Login   Login
	// Given is what the person or the broker handed in: an address, a token, a
	// verifier, the body of a post. Zero for a login that is polled.
	Given Secret
}
