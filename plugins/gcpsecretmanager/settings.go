package gcpsecretmanager

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// Names of the settings.
const (
	settingProject         = "project"
	settingSecret          = "secret"
	settingKey             = "key"
	settingKeepUnknown     = "keep_unknown"
	settingInterval        = "interval"
	settingCreate          = "create"
	settingCredentialsFile = "credentials_file"
	settingEndpoint        = "endpoint"
	settingInsecure        = "insecure"

	defaultSecret = "tokenkeeper-{account}"
)

func describeSettings() []sdk.Setting {
	truth := []string{"true", "false"}
	return []sdk.Setting{
		{Name: settingProject, Required: true,
			Description: "Project that the secret is in: its id or its number."},
		{Name: settingSecret, Default: defaultSecret,
			Description: "Name of the secret; {account} and {provider} are filled in."},
		{Name: settingKey,
			Description: "Key of the secret's JSON object under which the token stands; {account} and {provider} are filled in. Not set: the token is the whole object."},
		{Name: settingKeepUnknown, Default: "true", OneOf: truth,
			Description: "Keep the keys of the JSON object that the token does not have."},
		{Name: settingInterval, Default: "0s",
			Description: "Add at most one version of an account's token in this time; the newest wins."},
		{Name: settingCreate, Default: "true", OneOf: truth,
			Description: "Create the secret, with automatic replication, if it does not exist."},
		{Name: settingCredentialsFile, Steers: true,
			Description: "JSON file with Google credentials. Not set: the machine's own service account."},
		{Name: settingEndpoint,
			Description: "host:port of the service, for tests and emulators. Not set: Google's."},
		{Name: settingInsecure, Default: "false", OneOf: truth,
			Description: "Speak to the endpoint without TLS and credentials; only to this machine."},
	}
}

// settings of one sink, for one account.
type settings struct {
	project, secret, key string
	keepUnknown, create  bool
	interval             time.Duration
	credentialsFile      string
	endpoint             string
	insecure             bool
	account, provider    string
}

// String names the secret for people.
func (s settings) String() string {
	return fmt.Sprintf("secret %s of project %s", s.secret, s.project)
}

func (s settings) parent() string { return "projects/" + s.project }
func (s settings) name() string   { return s.parent() + "/secrets/" + s.secret }

// version is the name of one of the secret's versions.
func (s settings) version(number int64) string {
	return s.name() + "/versions/" + strconv.FormatInt(number, 10)
}

var (
	projectPattern = regexp.MustCompile(`^([a-z0-9.-]+:)?[a-z0-9][a-z0-9-]{0,62}$`)
	// The pattern is that of CreateSecretRequest.secret_id.
	secretPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
)

// readSettings checks the settings for one account. Its errors quote no value
// but names.
func readSettings(from sdk.Settings, account, provider string) (settings, error) {
	fill := strings.NewReplacer("{account}", account, "{provider}", provider)
	s := settings{
		project:         from.Get(settingProject),
		secret:          fill.Replace(otherwise(from.Get(settingSecret), defaultSecret)),
		key:             fill.Replace(from.Get(settingKey)),
		credentialsFile: from.Get(settingCredentialsFile),
		endpoint:        from.Get(settingEndpoint),
		account:         account, provider: provider,
	}
	if !projectPattern.MatchString(s.project) {
		return s, fmt.Errorf("setting %s must be the id or the number of a Google Cloud project", settingProject)
	}
	if !secretPattern.MatchString(s.secret) {
		return s, fmt.Errorf("setting %s must give a name of 1 to 255 letters, digits, - and _ for account %s", settingSecret, account)
	}
	var err error
	for name, to := range map[string]*bool{
		settingKeepUnknown: &s.keepUnknown, settingCreate: &s.create, settingInsecure: &s.insecure,
	} {
		if *to, err = truth(from.Get(name), name != settingInsecure); err != nil {
			return s, fmt.Errorf("setting %s %w", name, err)
		}
	}
	if text := from.Get(settingInterval); text != "" {
		if s.interval, err = time.ParseDuration(text); err != nil || s.interval < 0 {
			return s, fmt.Errorf("setting %s must be a duration such as 30m", settingInterval)
		}
	}
	if s.insecure && !isLoopback(s.endpoint) {
		return s, fmt.Errorf("setting %s is for an endpoint on this machine (127.0.0.1, [::1] or localhost), because tokens would travel in clear text", settingInsecure)
	}
	return s, nil
}

func otherwise(value, other string) string {
	if value == "" {
		return other
	}
	return value
}

func truth(text string, unset bool) (bool, error) {
	switch text {
	case "":
		return unset, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, fmt.Errorf("must be true or false")
	}
}

func isLoopback(endpoint string) bool {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
