package notify_test

import (
	"bytes"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink/notify"
)

// secret is in every password and token of these tests.
const secret = "CANARY7"

// listening returns what the standard library's log gets while the test runs,
// which is where the library would log.
func listening(t *testing.T) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	log.SetOutput(&b)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	return &b
}

var good = map[string]string{
	"ntfy":          "ntfy://ntfy.sh/topic-" + secret,
	"ntfy, login":   "ntfy://me:" + secret + "@ntfy.example/topic",
	"generic":       "generic://hooks.example/a/" + secret,
	"generic+https": "generic+https://hooks.example/a?token=" + secret,
	"smtp":          "smtp://me:" + secret + "@mail.example:587/?from=a@example.com&to=b@example.com",
	"slack":         "slack://hook:" + "WNA3PBYV6-F20DUQND3RQ-Webc4MAvoacrpPakR8phF0zi" + "@webhook",
	"discord":       "discord://" + secret + "@1234567890",
	"telegram":      "telegram://110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0@telegram?chats=@channel",
	"pagerduty":     "pagerduty://events.pagerduty.com/0123456789abcdef0123456789abcdef",
	"matrix":        "matrix://me:" + secret + "@127.0.0.1:1/?rooms=room",
	"gotify":        "gotify://gotify.example/AzyoeNS.D4iJLVa",
	"pushover":      "pushover://shoutrrr:" + secret + "@userkey/",
}

func TestCheckTakesWhatTheServicesDocument(t *testing.T) {
	for name, u := range good {
		if err := notify.Check(u); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckTellsNothingOfTheURL(t *testing.T) {
	logged := listening(t)
	for u, want := range map[string]string{
		"":                                      "this is no URL",
		secret:                                  "this is no URL",
		"ntfy://%zz" + secret:                   "this is no URL",
		"ntfy://me:" + secret + "@h:port/x":     "this is no URL",
		"://" + secret:                          "this is no URL",
		secret + "://x":                         "none of the services that are known: bark, discord, ",
		"xmpp://me:" + secret + "@host":         "none of the services",
		"logger://" + secret:                    "tells nobody",
		"ntfy://me:" + secret + "@ntfy.sh":      "the service ntfy wants it: ntfy://[USER:PASSWORD@]HOST/TOPIC",
		"ntfy://ntfy.sh/t?nonsense=" + secret:   "the service ntfy wants it",
		"ntfy://ntfy.sh/t?priority=" + secret:   "the service ntfy wants it",
		"ntfy+https://" + secret + "/t":         "the service ntfy wants it",
		"smtp://me:" + secret + "@mail":         "the service smtp wants it",
		"smtp://me@mail/?auth=" + secret:        "the service smtp wants it",
		"slack://hook:" + secret + "@webhook":   "the service slack wants it",
		"discord://" + secret:                   "the service discord wants it",
		"telegram://" + secret + "@telegram":    "the service telegram wants it",
		"pagerduty://host/" + secret:            "the service pagerduty wants it",
		"pushover://x:" + secret + "@":          "the service pushover wants it",
		"teams://" + secret + "@host":           "the service teams wants it",
		"generic+https://h/?template=" + secret: "",
	} {
		err := notify.Check(u)
		if want == "" {
			continue // whatever it says, it is searched below
		}
		if err == nil {
			t.Errorf("a URL that should say %q was taken", want)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	for _, u := range []string{"ntfy://me:" + secret + "@ntfy.sh", secret + "://x", "discord://" + secret, "ntfy://%zz" + secret} {
		if _, err := notify.New(notify.Config{URLs: []sdk.Secret{sdk.NewSecret(good["ntfy"]), sdk.NewSecret(u)}}); err == nil ||
			strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "URL 2 of 2: ") {
			t.Errorf("New: %v", err)
		}
	}
	if _, err := notify.New(notify.Config{}); err == nil {
		t.Error("a sink that can tell nobody was made")
	}
	if logged.Len() > 0 {
		t.Errorf("the library logged %s", logged)
	}
}

// FuzzCheck: whatever stands there, the error quotes none of it.
func FuzzCheck(f *testing.F) {
	for _, u := range good {
		f.Add(u, "")
	}
	f.Add("ntfy://h/", "?priority=")
	f.Fuzz(func(t *testing.T, before, after string) {
		const planted = "pl4nted-s3cret"
		err := notify.Check(before + planted + after)
		if err != nil && strings.Contains(strings.ToLower(err.Error()), planted) {
			t.Errorf("the error tells what stands in the URL: %v", err)
		}
	})
}
