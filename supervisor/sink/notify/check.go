package notify

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// documentation is where the shapes of all URLs are.
const documentation = "https://shoutrrr.nickfedor.com/services/overview/"

// shapes of the URLs of much-used services, as the library documents them.
var shapes = map[string]string{
	"bark":       "bark://DEVICE_KEY@HOST",
	"discord":    "discord://TOKEN@WEBHOOK_ID",
	"generic":    "generic://HOST/PATH, or generic+https://HOST/PATH",
	"googlechat": "googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN",
	"gotify":     "gotify://HOST/TOKEN",
	"matrix":     "matrix://USER:PASSWORD@HOST/?rooms=ROOM",
	"mattermost": "mattermost://HOST/TOKEN",
	"ntfy":       "ntfy://[USER:PASSWORD@]HOST/TOPIC",
	"opsgenie":   "opsgenie://HOST/API_KEY",
	"pagerduty":  "pagerduty://HOST/INTEGRATION_KEY",
	"pushbullet": "pushbullet://ACCESS_TOKEN",
	"pushover":   "pushover://shoutrrr:API_TOKEN@USER_KEY/",
	"rocketchat": "rocketchat://HOST/TOKEN_A/TOKEN_B",
	"signal":     "signal://[USER:PASSWORD@]HOST:PORT/FROM/TO",
	"slack":      "slack://hook:TOKEN_A-TOKEN_B-TOKEN_C@webhook",
	"smtp":       "smtp://USER:PASSWORD@HOST:PORT/?from=FROM&to=TO",
	"telegram":   "telegram://TOKEN@telegram?chats=CHAT",
	"zulip":      "zulip://BOT_MAIL:BOT_KEY@HOST/?stream=STREAM&topic=TOPIC",
}

// Services are the names that a URL can begin with, in order.
func Services() []string {
	names := new(router.ServiceRouter).ListServices()
	names = slices.DeleteFunc(names, func(name string) bool { return name == "logger" })
	slices.Sort(names)
	return names
}

// Check says whether the library has a service for the URL, and whether the URL
// is as that service wants it. It sends nothing. Its errors say nothing of the
// URL but which service it is for.
func Check(rawURL string) error {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return errors.New("this is no URL; it begins with the name of a service, e.g. ntfy://ntfy.sh/TOPIC; see " + documentation)
	}
	name := serviceOf(u)
	if name == "logger" {
		return errors.New("the service logger tells nobody; the log has every alert anyway")
	}
	if !slices.Contains(Services(), name) {
		return fmt.Errorf("it begins with none of the services that are known: %s; see %s", strings.Join(Services(), ", "), documentation)
	}
	service, err := locate(u, name)
	if err != nil || service == nil {
		if shape, ok := shapes[name]; ok {
			return fmt.Errorf("it is not as the service %s wants it: %s; see %s", name, shape, documentation)
		}
		return fmt.Errorf("it is not as the service %s wants it; see %s", name, documentation)
	}
	return nil
}

// locate makes the service without letting it log in.
func locate(u *url.URL, name string) (service types.Service, err error) {
	defer func() {
		if recover() != nil { // the value could hold the URL
			err = errors.New("the library panicked")
		}
	}()
	look := *u
	if name == "matrix" && look.User != nil {
		// With a user's name it would log in at once; it takes a bare token
		// as the password.
		password, _ := look.User.Password()
		look.User = url.UserPassword("", password)
	}
	return new(router.ServiceRouter).Locate(look.String())
}
