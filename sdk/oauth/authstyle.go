package oauth

import "golang.org/x/oauth2"

// How a client authenticates at the token endpoint (RFC 6749, section 2.3.1),
// for [Endpoint.AuthStyle].
const (
	// AuthInHeader is HTTP Basic.
	AuthInHeader = oauth2.AuthStyleInHeader
	// AuthInParams sends client_id and client_secret in the body.
	AuthInParams = oauth2.AuthStyleInParams
	// AuthNone sends neither: Questrade knows an application by its refresh token
	// alone. The account then needs no client_id to refresh.
	AuthNone = oauth2.AuthStyle(16)
)
