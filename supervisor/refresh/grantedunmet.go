package refresh

import (
	"maps"
	"net/url"
	"strings"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

// unmetNote is what is noted of a grant before its provider was met, and nobody knows
// which settings name a server: of each that is configured a fingerprint, because it may
// be a secret. Among the servers that are noted its names begin with [unmetMark], and the
// mark alone says that what is not named was not configured.
type unmetNote map[string]string

const unmetMark = "?"

// noteUnmet adds to servers what a's settings are.
func noteUnmet(servers url.Values, a sdk.Account) {
	servers.Set(unmetMark, "")
	for name, value := range a.Settings {
		if name != settingTokenURL && name != settingEnvironment && value != "" && !config.SoundsSecret(name) {
			servers.Set(unmetMark+name, sdk.NewSecret(serverIn(value)).Fingerprint())
		}
	}
}

// server is the value that a setting had, if it is one of candidates, or "another NAME" if
// it is none of them. known: anything was noted of it.
func (noted unmetNote) server(name string, candidates ...string) (value string, known bool) {
	if _, unmet := noted[unmetMark]; !unmet || config.SoundsSecret(name) {
		return "", false
	}
	fingerprint, configured := noted[unmetMark+name]
	if !configured {
		return "", true
	}
	for _, candidate := range candidates {
		if sdk.NewSecret(candidate).Fingerprint() == fingerprint {
			return candidate, true
		}
	}
	return "another " + name, true
}

// forgetUnmet takes such a note out, once the provider says which settings count.
func forgetUnmet(values map[string]string) {
	maps.DeleteFunc(values, func(name, _ string) bool { return strings.HasPrefix(name, unmetMark) })
}
