package process

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/hearsay"
)

// silent is a plugin that answers with nothing.
type silent struct{ grpc.ClientConnInterface }

func (silent) Invoke(context.Context, string, any, any, ...grpc.CallOption) error { return nil }

// A short secret that is split over the lines that a plugin writes is never told
// as a whole, plain or structured, in however many writes they come.
func TestLinesOfASplitSecret(t *testing.T) {
	const secret = "Q7Z9-X8Q6Z5"
	secrets := hearsay.New()
	request := &provider.RefreshRequest{Account: &provider.Account{Name: "a", ClientSecret: secret}}
	if err := (hearsay.Conn{To: silent{}, Secrets: secrets}).Invoke(t.Context(), "Refresh", request, &provider.TokenResponse{}); err != nil {
		t.Fatal(err)
	}
	plain := func(text string) string { return text + "\n" }
	structured := func(text string) string { return fmt.Sprintf("{\"@level\":\"info\",\"@message\":%q}\n", text) }
	for name, line := range map[string]func(string) string{"plain": plain, "structured": structured} {
		for at := 1; at < len(secret); at++ {
			var log bytes.Buffer
			o := newOutputLog(slog.New(slog.NewTextHandler(&log, nil)), secrets)
			w := &lineWriter{emit: o.stderr}
			said := line("got "+secret[:at]) + line("  "+secret[at:]+" from it") + line("whole "+secret)
			for len(said) > 0 { // in pieces that fit no line
				n := min(7, len(said))
				_, _ = w.Write([]byte(said[:n]))
				said = said[n:]
			}
			_ = w.Close()
			want := 2
			if at > len(secret)/2 {
				want = 3 // what has begun, too
			}
			if told := strings.Count(log.String(), "[redacted]"); told != want || !strings.Contains(log.String(), "from it") {
				t.Errorf("%s, split at %d, %d redacted:\n%s", name, at, told, log.String())
			}
		}
	}
}
