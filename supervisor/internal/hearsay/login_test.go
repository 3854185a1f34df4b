package hearsay

import (
	"strings"
	"testing"

	provider "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
)

// What a person needs for a guided login is shown as it is, or not at all; what the
// plugin keeps for itself is in no text.
func TestGuidedLogin(t *testing.T) {
	const kept = "the-device-code-1234"
	begin := func(l *provider.Login) (*provider.Login, error) {
		conn := Conn{Secrets: New(), To: answering(func(_, reply any) error {
			got := reply.(*provider.Login)
			got.Address, got.UserCode, got.Instructions, got.Private = l.GetAddress(), l.GetUserCode(), l.GetInstructions(), l.GetPrivate()
			return nil
		})}
		got := &provider.Login{}
		err := conn.Invoke(t.Context(), "BeginLogin", &provider.BeginLoginRequest{
			Account: &provider.Account{Name: "a", ClientSecret: "the-client-secret"}, State: "the-state",
		}, got)
		return got, err
	}
	private := map[string]string{"device_code": kept}
	address := "https://broker.example/authorize?oauth_token=" + kept
	got, err := begin(&provider.Login{Address: address, UserCode: "WDJB-\x1b[2JMJHT", Instructions: "Type " + kept + ".", Private: private})
	if err != nil || got.GetAddress() != address || got.GetUserCode() != "WDJB-MJHT" || got.GetInstructions() != "Type [redacted]." || got.GetPrivate()["device_code"] != kept {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := begin(&provider.Login{UserCode: "0123456789abcdef0123456789abcdef"}); err != nil || got.GetUserCode() != "0123456789abcdef0123456789abcdef" {
		t.Errorf("a long code: %v, %v", got, err)
	}
	for _, l := range []*provider.Login{{Address: "javascript:alert(1)"}, {Address: "https://broker.example/?x=the-client-secret"}, {UserCode: "the-client-secret"}} {
		if got, err := begin(l); err == nil || strings.Contains(err.Error(), "the-client-secret") {
			t.Errorf("%v was shown: %v, %v", l, got, err)
		}
	}
}
