package schwab

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
)

// classify reads Schwab's own way of refusing a token. Instead of
// invalid_grant it answers
//
//	{"error": "unsupported_token_type",
//	 "error_description": "400 Bad Request: \"{\"error_description\":\"Exception while authenticating refresh token […]\",
//	                       \"error\":\"refresh_token_authentication_error\"}\""}
//
// so that the real error is a JSON text inside the description
// (https://github.com/tylerebowers/Schwabdev/issues/40,
// https://github.com/gporter0205/schwab-api-client/issues/5). Every report of
// refresh_token_authentication_error ends with a new login: the token is past
// its seven days, or a later login replaced it. The outer code alone says
// nothing, and without an inner error that is understood it stays transient.
func classify(e oauth.OAuthError) sdk.Kind {
	if e.Code != "unsupported_token_type" {
		return ""
	}
	switch innerError(e.Description) {
	case "refresh_token_authentication_error", "invalid_grant":
		return sdk.KindInvalidGrant
	case "invalid_client", "unauthorized_client":
		return sdk.KindInvalidClient
	}
	return sdk.KindTransient
}

// wrapped is the error code invalid_client where it is surely inside such an answer:
// behind the status line that is the answer's own, and with nothing around its JSON text
// but quotes. It says what the code means (RFC 6749, section 5.2): the client, and no
// token, was refused. That Schwab words it so is UNVERIFIED.
func wrapped(e oauth.OAuthError) string {
	text, ok := strings.CutPrefix(e.Description, fmt.Sprintf("%d %s: ", e.HTTPStatus, http.StatusText(e.HTTPStatus)))
	text = strings.ReplaceAll(text, `\"`, `"`)
	if !ok || e.Code != "unsupported_token_type" || !strings.HasPrefix(text, `"{`) || !strings.HasSuffix(text, `}"`) {
		return ""
	}
	if innerError(e.Description) == "invalid_client" {
		return "invalid_client"
	}
	return ""
}

// innerError finds the error code of the JSON object in a description; "": it
// holds none.
func innerError(description string) string {
	from, to := strings.Index(description, "{"), strings.LastIndex(description, "}")
	if from < 0 || to < from {
		return ""
	}
	text := description[from : to+1]
	var inner struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(text), &inner) == nil {
		return inner.Error
	}
	// Some layers escape its quotes once more.
	if json.Unmarshal([]byte(strings.ReplaceAll(text, `\"`, `"`)), &inner) == nil {
		return inner.Error
	}
	return ""
}
