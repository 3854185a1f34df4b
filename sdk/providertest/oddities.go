package providertest

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// testOddSuccesses: a success whose token is hard to get at is read, or else it is
// ambiguous, so that its answer is kept. Any other error would call the old token
// good, which is spent.
func testOddSuccesses(t *testing.T, s trial) {
	status, body := s.success(s.access(newAccess), newRefresh)
	emptyStatus, empty := s.success("", newRefresh)
	const number = "9007199254740993001" // no token that is rounded works
	numericStatus, numeric := s.success(s.access(newAccess), number)
	numeric = strings.ReplaceAll(numeric, `"`+number+`"`, number)
	tests := []struct {
		name            string
		answer          http.HandlerFunc
		access, refresh string
	}{
		{"Gzip", respond(status, "application/json", compress(body, toGzip), "Content-Encoding", "gzip"), s.access(newAccess), newRefresh},
		{"GzipUnsaid", respond(status, "application/json", compress(body, toGzip)), s.access(newAccess), newRefresh},
		{"Deflate", respond(status, "application/json", compress(body, toZlib), "Content-Encoding", "deflate"), s.access(newAccess), newRefresh},
		{"UnknownCoding", respond(status, "application/json", "\x0b\x02\x80\x03", "Content-Encoding", "br"), s.access(newAccess), newRefresh},
		{"EmptyAccessToken", respond(emptyStatus, "application/json", empty), "", newRefresh},
		{"NumericRefreshToken", respond(numericStatus, "application/json", numeric), s.access(newAccess), number},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := s.newBroker(t, tt.answer)
			token, err := s.next(call(t), s.fresh(t).Remote, s.request("one", b))
			switch {
			case err == nil && token.RefreshToken.Reveal() == s.given(tt.refresh) && token.AccessToken.Reveal() == tt.access:
			case err == nil:
				t.Error("the token is not the one that the broker sent")
			case sdk.KindOf(err) != sdk.KindAmbiguous:
				t.Errorf("the error is of the kind %s, want a token or ambiguous: %v", sdk.KindOf(err), err)
			default:
				s.wantNoSecret(t, err)
			}
			b.wantPosts(t, 1)
		})
	}
}

// testUnreadIsKept: an answer in the spool of which the provider makes neither a token
// nor a refusal, for whatever reason, outlives Settle: it may be the only copy of the new
// refresh token.
func testUnreadIsKept(t *testing.T, s trial) {
	status, body := s.success(s.access(newAccess), newRefresh)
	dir := t.TempDir()
	p := s.start(t, dir)
	for name, answer := range map[string]http.HandlerFunc{
		"LoneSurrogate": respond(status, "application/json", strings.Replace(body, "{", `{"scope":"\ud800",`, 1)), // which is no Unicode text
		"Cut":           s.cutAnswer,
	} {
		_, err := s.next(call(t), p.Remote, s.request(name, s.newBroker(t, answer)))
		left, faulty := p.Unsettled(call(t))
		if faulty != nil {
			t.Fatalf("Unsettled: %v", faulty)
		}
		answered := slices.ContainsFunc(left.Entries, func(e spool.Entry) bool { return e.Attempt == name && e.Progress == spool.Answered })
		if err := p.Settle(call(t), name); err != nil {
			t.Fatalf("Settle: %v", err)
		}
		if _, gone := os.Stat(spool.UnreadPath(dir, name)); sdk.KindOf(err) == sdk.KindAmbiguous && answered && gone != nil {
			t.Errorf("%s: the answer was in the spool, nobody could read it, and Settle has thrown it away; the error was: %v", name, err)
		}
	}
}

func toGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func toZlib(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }

func compress(text string, to func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := to(&b)
	_, _ = io.WriteString(w, text)
	_ = w.Close()
	return b.String()
}
