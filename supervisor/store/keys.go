package store

import (
	"fmt"
	"strings"
)

// The names of what is stored, in words that an etcd takes as they are:
//
//	machine                  JSON of machine.Owner
//	accounts/<id>/record     codec.go
//	accounts/<id>/intent     JSON of Intent
//	accounts/<id>/login      login.go
//	accounts/<id>/requests   JSON of its requests
//	accounts/<id>/refusal    JSON of Health, of an account without a record
//	accounts/<id>/pause      JSON of Pause
//	accounts/<id>/names      JSON of the names that its login had before, see formerName
//	ledger/<sink>/<account>  JSON of Delivery; of an alert: its key as the account
//	alerts/<key>             JSON of event.Alert
//	passed/<account>         JSON of when that name was free of its login, see Store.Passed
//
// A ledger's <account> is that of an alert if it holds a colon, which the name
// of no account does. Any other key was written by a newer program and
// stays as it is.
const (
	keyMachine     = "machine"
	prefixAccounts = "accounts/"
	prefixLedger   = "ledger/"
	prefixAlerts   = "alerts/"
	prefixPassed   = "passed/"
	partRecord     = "record"
	partIntent     = "intent"
	partLogin      = "login"
	partRequests   = "requests"
	partRefusal    = "refusal"
	partPause      = "pause"
	partNames      = "names"
)

// longestName is far above what a configuration has and far below the longest
// key of any engine.
const longestName = 255

func accountKey(account, part string) string { return prefixAccounts + account + "/" + part }
func recordKey(account string) string        { return accountKey(account, partRecord) }
func intentKey(account string) string        { return accountKey(account, partIntent) }
func alertKey(key string) string             { return prefixAlerts + key }
func passedKey(account string) string        { return prefixPassed + account }
func ledgerKey(sink, account string) string  { return prefixLedger + sink + "/" + account }

// accountOf returns the account that a key is about, and which part of it is there.
func accountOf(key string) (account, part string, ok bool) {
	rest, ok := strings.CutPrefix(key, prefixAccounts)
	if !ok {
		return "", "", false
	}
	return strings.Cut(rest, "/")
}

// isAlert says whether a line of the ledger is about an alert.
func isAlert(account string) bool { return strings.Contains(account, ":") }

// checkName refuses what can't be a part of a key. The configuration is
// stricter; this holds for callers that have read the name elsewhere.
func checkName(what, name string) error {
	if name == "" || len(name) > longestName || strings.ContainsAny(name, "/\x00") {
		return fmt.Errorf("%q is no name for %s: it must have 1 to %d characters and no slash", name, what, longestName)
	}
	return nil
}
