package advice

import (
	"fmt"
	"strings"
)

// Worded is an error in other words, for who is not told by its own what to do.
func Worded(text string, cause error) error { return worded{text, cause} }

type worded struct {
	text  string
	cause error
}

func (w worded) Error() string { return w.text }
func (w worded) Unwrap() error { return w.cause }

// Named returns an error that names the account, once: those of providers do
// already.
func Named(account string, err error) error {
	if strings.HasPrefix(err.Error(), of(account)) {
		return err
	}
	return fmt.Errorf("%s%w", of(account), err)
}

// Within is an error of a provider in what was being done, and names the account once.
func Within(account, what string, err error) error {
	return Worded(of(account)+what+": "+strings.TrimPrefix(err.Error(), of(account)), err)
}

// Bare is a provider's word without the account's name and without its advice.
func Bare(account, cause string) string { return Unadvised(strings.TrimPrefix(cause, of(account))) }

// Unadvised is a provider's word without the advice that those of earlier SDKs gave: what
// is to be done follows in ours.
func Unadvised(cause string) string {
	return strings.TrimSuffix(cause, ": unless a newer token turns up, someone must log in again")
}

func of(account string) string { return "account " + account + ": " }
