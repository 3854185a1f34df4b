package metrics

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// onlyBearer lets requests pass that have the token (RFC 6750); without a token, all.
// Sums are compared, and the whole of them, so that the time that it takes says nothing
// of the token, not even its length.
func onlyBearer(token sdk.Secret, next http.Handler) http.Handler {
	if token.IsZero() {
		return next
	}
	want := sha256.Sum256([]byte(token.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		got := sha256.Sum256([]byte(strings.TrimLeft(given, " ")))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 && strings.EqualFold(scheme, "Bearer") {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="tokenkeeper"`)
		w.Header().Set("Connection", "close") // no stranger keeps one of the few
		http.Error(w, "the token of metrics.token is missing or another one", http.StatusUnauthorized)
	})
}
