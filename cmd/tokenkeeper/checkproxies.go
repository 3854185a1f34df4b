package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
)

const (
	// proxyPatience is how long a proxy may take to open the way.
	proxyPatience = 5 * time.Second
	// mostProxies are tried at once, and in all.
	mostProxies = 16
)

// endpointer is a provider that says where an account's tokens are refreshed.
type endpointer interface{ TokenURL(sdk.Account) string }

// brokerWay is one to a broker, and the first account that goes it.
type brokerWay struct {
	account sdk.Account
	address string
	proxy   string // through which it leads; "": none
	err     error
}

// addProxies tries each way to a broker that leads through a proxy, and warns of one that
// is closed: it may be open when the service runs. No request is made: the broker sees
// the beginning of TLS.
func (r *report) addProxies(ctx context.Context, cfg *config.Config, getenv func(string) string) {
	ways := r.throughProxies(cfg, getenv("HTTPS_PROXY")+getenv("https_proxy") != "")
	ctx, cancel := context.WithTimeout(ctx, proxyPatience)
	defer cancel()
	var tries sync.WaitGroup
	for i := range ways {
		tries.Go(func() { ways[i].err = (&oauth.Client{}).Reach(ctx, ways[i].account, ways[i].address) })
	}
	tries.Wait()
	for _, way := range ways {
		if way.err == nil {
			continue
		}
		r.Warnings = append(r.Warnings, finding{
			File: r.Config, Line: r.where().of("accounts", way.account.Name, "settings", oauth.SettingProxy),
			Key: "accounts." + way.account.Name, Message: strings.TrimPrefix(way.err.Error(), "account "+way.account.Name+": "),
		})
	}
}

// throughProxies are the ways that lead through a proxy, up to a number. inEnvironment:
// it names one for the accounts that name none.
func (r *report) throughProxies(cfg *config.Config, inEnvironment bool) []brokerWay {
	ways := slices.DeleteFunc(brokerWays(cfg, r.Providers), func(w brokerWay) bool {
		return w.proxy == "" || w.account.Settings[oauth.SettingProxy] == "" && !inEnvironment
	})
	return ways[:min(len(ways), mostProxies)]
}

// brokerWays are those of the accounts of providers that heed the settings of sdk/oauth, each
// once, and without those whose settings can't be right: that is told as such.
func brokerWays(cfg *config.Config, providers []plugin) (ways []brokerWay) {
	known := map[string]bool{}
	heeds := map[string][]sdk.Setting{}
	for _, p := range providers {
		if slices.ContainsFunc(p.description.Settings, func(s sdk.Setting) bool { return s.Name == oauth.SettingProxy }) {
			heeds[p.Name] = p.description.Settings
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Accounts)) {
		c := cfg.Accounts[name]
		settings, heeded := heeds[c.Provider]
		a := sdk.Account{Name: name, ClientID: c.ClientID, Settings: c.Settings}
		address := tokenURL(c.Provider, settings, a)
		own := a.Settings[oauth.SettingProxy]
		if !heeded || address == "" || oauth.ProxyFault(own) != "" {
			continue
		}
		proxy := oauth.ProxyTo(a, address)
		key := proxy + "\n" + own + "\n" + a.Settings[oauth.SettingCAFile] + "\n" + address
		if known[key] {
			continue
		}
		known[key] = true
		if oauth.CAFault(a.Settings[oauth.SettingCAFile]) == "" {
			ways = append(ways, brokerWay{account: a, address: address, proxy: proxy})
		}
	}
	return ways
}

// tokenURL is where an account's tokens are refreshed, "" if nobody knows: a built-in
// provider says so, and of others the setting that is usually called so.
func tokenURL(provider string, settings []sdk.Setting, a sdk.Account) string {
	if p, ok := builtin(provider); ok {
		if says, ok := p.(endpointer); ok {
			return says.TokenURL(a)
		}
	}
	for _, s := range settings {
		if s.Name == "token_url" {
			return cmp.Or(a.Settings[s.Name], s.DefaultFor(a.Settings, settings))
		}
	}
	return ""
}
