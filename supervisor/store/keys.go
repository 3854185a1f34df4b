package store

import (
	"fmt"
	"strings"
)

// The layout of the store, in words that an etcd takes as they are:
//
//	meta/format              "2.2"
//	meta/sum                 sum.go; of the native store only
//	meta/machine             JSON of machine.Owner and a checksum
//	accounts/<id>/record     codec.go
//	accounts/<id>/intent     JSON of Intent
//	ledger/<sink>/<account>  JSON of Delivery; of an alert: its key as the account
//	alerts/<key>             JSON of event.Alert and a checksum
//	logins/<id>              login.go
//	requests/<id>            requests.go
//	refusals/<id>            refusal.go
//
// A ledger's <account> is that of an alert if it holds a colon, which the name
// of no account does. Any other key was written by a newer program and
// stays as it is.
const (
	keyFormat      = "meta/format"
	keySum         = "meta/sum"
	keyMachine     = "meta/machine"
	prefixAccounts = "accounts/"
	prefixLedger   = "ledger/"
	prefixAlerts   = "alerts/"
	prefixLogins   = "logins/"
	prefixRequests = "requests/"
	prefixRefusals = "refusals/"
	suffixRecord   = "/record"
	suffixIntent   = "/intent"
)

// longestName is far above what a configuration has and far below the longest
// key of any backend.
const longestName = 255

func recordKey(account string) string       { return prefixAccounts + account + suffixRecord }
func intentKey(account string) string       { return prefixAccounts + account + suffixIntent }
func loginKey(account string) string        { return prefixLogins + account }
func requestsKey(account string) string     { return prefixRequests + account }
func refusalKey(account string) string      { return prefixRefusals + account }
func alertKey(key string) string            { return prefixAlerts + key }
func ledgerPrefix(sink string) string       { return prefixLedger + sink + "/" }
func ledgerKey(sink, account string) string { return ledgerPrefix(sink) + account }

// foreignKey says whether no program up to this one writes keys like that.
func foreignKey(key string) bool {
	for _, prefix := range []string{prefixAccounts, prefixLedger, prefixAlerts, prefixLogins, prefixRequests, prefixRefusals} {
		if strings.HasPrefix(key, prefix) {
			return false
		}
	}
	return key != keyFormat && key != keySum && key != keyMachine
}

// isAlert says whether a line of the ledger is about an alert.
func isAlert(account string) bool { return strings.Contains(account, ":") }

// recordAccount returns the account whose record is under key.
func recordAccount(key string) (account string, ok bool) { return accountUnder(key, suffixRecord) }

// intentAccount returns the account whose intent is under key.
func intentAccount(key string) (account string, ok bool) { return accountUnder(key, suffixIntent) }

func accountUnder(key, suffix string) (account string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefixAccounts)
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, suffix)
}

// checkName refuses what can't be a part of a key. The configuration is
// stricter; this holds for callers that have read the name elsewhere.
func checkName(what, name string) error {
	if name == "" || len(name) > longestName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is no name for %s: it must have 1 to %d characters and no slash", name, what, longestName)
	}
	return nil
}
