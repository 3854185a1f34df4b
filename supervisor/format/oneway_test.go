package format

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"pgregory.net/rapid"
)

func TestRawIsTheTokenAlone(t *testing.T) {
	b, err := Encode(Raw, full(), Options{})
	if err != nil || string(b) != full().AccessToken.Reveal() {
		t.Errorf("wrote %q, %v", b, err)
	}
	d := full()
	d.AccessToken = sdk.Secret{}
	if b, err := Encode(Raw, d, Options{}); err == nil {
		t.Errorf("wrote %q without an access token", b)
	}
}

func TestOneWayFormatsRefuseNothing(t *testing.T) {
	for _, name := range OneWay() {
		if b, err := Encode(name, Document{Account: "main"}, Options{}); err == nil {
			t.Errorf("%s wrote %q", name, b)
		}
		if _, err := Decode(name, []byte("ACCESS_TOKEN=x"), Options{}); err == nil {
			t.Errorf("%s was read", name)
		}
	}
}

func TestEnvRefusesWhatIsNoLine(t *testing.T) {
	for _, token := range []string{"a\nLD_PRELOAD=/x", "a\x00b", "a\rb", "\x7f"} {
		d := full()
		d.AccessToken = sdk.NewSecret(token)
		b, err := Encode(Env, d, Options{})
		if err == nil {
			t.Errorf("wrote %q", b)
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("the error tells the token: %v", err)
		}
	}
}

// Whatever a token holds, a shell that reads the file has it, and runs nothing.
func TestShellReadsEnv(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell here")
	}
	rapid.Check(t, func(t *rapid.T) {
		any := rapid.StringOfN(rapid.RuneFrom([]rune("aZ9$`\"'\\!#&;|<>*?~ =(){}[]%é€-_./+")), 1, 40, -1)
		d := full()
		d.AccessToken, d.RefreshToken = sdk.NewSecret(any.Draw(t, "access")), sdk.NewSecret(any.Draw(t, "refresh"))
		b, err := Encode(Env, d, Options{})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(sh, "-euc", string(b)+`printf '%s\n' "$ACCESS_TOKEN" "$REFRESH_TOKEN" "$EXPIRES_AT"`)
		out, err := cmd.CombinedOutput()
		want := d.AccessToken.Reveal() + "\n" + d.RefreshToken.Reveal() + "\n1782909000\n"
		if err != nil || string(out) != want {
			t.Fatalf("the shell has %q (%v), want %q, from\n%s", out, err, want, b)
		}
	})
}

func FuzzEnvIsLines(f *testing.F) {
	for _, s := range []string{"I0.access==", `$(reboot)`, "a\nB=c", "'\"`\\", "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		d := Document{Account: "a", AccessToken: sdk.NewSecret(token)}
		b, err := Encode(Env, d, Options{})
		if err != nil {
			return
		}
		if !bytes.HasPrefix(b, []byte("ACCESS_TOKEN=")) || bytes.Count(b, []byte("\n")) != 1 || b[len(b)-1] != '\n' {
			t.Errorf("%q made %q", token, b)
		}
	})
}
