package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/oauth"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/backend"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/spools"
)

// unreadAnswer is an answer that was put aside, without a secret of it.
type unreadAnswer struct {
	File     string    `json:"file,omitempty"`
	Provider string    `json:"provider,omitempty"`
	Account  string    `json:"account,omitempty"`
	Attempt  string    `json:"attempt,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Version  uint64    `json:"version,omitempty"`
	BegunAt  time.Time `json:"begun_at,omitzero"`
	Bytes    int64     `json:"bytes"`
	// Shape is not set for an answer that is not whole, or that a provider has
	// recorded in a way of its own; Fault says so.
	Shape *oauth.Shape `json:"shape,omitempty"`
	Fault string       `json:"fault,omitempty"`
	// Why one that could be read was set aside, beside the account's record, and
	// until when it is kept; it has no file. Grant is the one of the account's logins
	// and imports that it belongs to (0: not known), and Person who has logged in
	// there, if the answer says so.
	Why    string    `json:"why,omitempty"`
	Until  time.Time `json:"until,omitzero"`
	Grant  uint64    `json:"grant,omitempty"`
	Person string    `json:"person,omitempty"`
	// AccountVersion and AccountGrant are what the account has now; 0: no token, or
	// not known. Overtaken: an answer in a file is older than that.
	AccountVersion uint64 `json:"account_version,omitempty"`
	AccountGrant   uint64 `json:"account_grant,omitempty"`
	Overtaken      bool   `json:"overtaken,omitempty"`
}

// unreadAnswers is what "spool --json" prints.
type unreadAnswers struct {
	Answers []unreadAnswer `json:"answers"`
}

// showUnread shows one unread answer, or all of the configuration.
func (e *env) showUnread(ctx context.Context, file string) error {
	all := []unreadAnswer{}
	if file != "" {
		u, err := spool.ReadUnread(file)
		if err != nil {
			return err
		}
		all = append(all, describeUnread("", u))
	} else {
		cfg, err := e.load()
		if err != nil {
			return err
		}
		found, err := spools.Unread(cfg)
		if err != nil {
			return err
		}
		accounts, err := e.storedAccounts(ctx, cfg)
		if err != nil {
			return err
		}
		for _, f := range found {
			all = append(all, describeUnread(f.Provider, f.Unread).beside(accounts))
		}
		all = append(all, setAside(accounts)...)
	}
	if e.json {
		return e.printJSON(unreadAnswers{all})
	}
	if len(all) == 0 {
		return e.print("no answer lies unread")
	}
	var b strings.Builder
	for n, u := range all {
		if n > 0 {
			b.WriteByte('\n')
		}
		u.render(&b, e.now())
	}
	return e.write(b.String())
}

// storedAccounts are the accounts, by the word of the supervisor that runs or of
// the store.
func (e *env) storedAccounts(ctx context.Context, cfg *config.Config) ([]control.Account, error) {
	c, err := e.client()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	st, err := c.Status(ctx)
	if !errors.Is(err, control.ErrNotRunning) {
		return st.Accounts, err
	}
	if e.socket != "" {
		e.warn("no supervisor is running on %s: this is what the state directory %s holds", e.socket, cfg.StateDir)
	}
	stored, err := backend.Stored(cfg, e.now())
	if err != nil {
		e.warn("the answers that were set aside beside the tokens can't be shown: %v", err)
	}
	return stored, nil
}

// setAside are the answers that were set aside beside the accounts' tokens.
func setAside(accounts []control.Account) (all []unreadAnswer) {
	for _, a := range accounts {
		for _, s := range a.SetAside {
			all = append(all, unreadAnswer{
				Provider: a.Provider, Account: a.Name, Attempt: s.Attempt, Kind: s.Kind, Version: s.Version, Why: s.Why, Until: s.Until,
				Grant: s.Grant, Person: s.Person, AccountVersion: a.Version, AccountGrant: a.Grant,
			})
		}
	}
	return all
}

// beside says how an unread answer stands to what its account has now.
func (u unreadAnswer) beside(accounts []control.Account) unreadAnswer {
	for _, a := range accounts {
		if a.Name == u.Account {
			u.AccountVersion, u.AccountGrant, u.Overtaken = a.Version, a.Grant, a.Version > u.Version
		}
	}
	return u
}

func describeUnread(provider string, u spool.Unread) unreadAnswer {
	d := unreadAnswer{
		File: u.Path, Provider: provider, Account: u.Account, Attempt: u.Attempt, Kind: u.Kind, Version: u.Version, BegunAt: u.BegunAt, Bytes: u.Size,
	}
	if u.Answer == nil {
		d.Fault = "no whole answer is in it"
		return d
	}
	shape, err := oauth.ShapeOf(u.Answer)
	if err != nil {
		d.Fault = "its provider has recorded it in a way of its own"
		return d
	}
	d.Shape = &shape
	return d
}

// render writes it for people.
func (u unreadAnswer) render(b *strings.Builder, now time.Time) {
	if u.File == "" {
		fmt.Fprintf(b, "%s of account %s, version %d, attempt %s\n", u.Kind, u.Account, u.Version, u.Attempt)
		fmt.Fprintf(b, "  set aside: %s\n", u.Why)
		if whose := u.login(); whose != "" {
			fmt.Fprintf(b, "  %s\n", whose)
		}
		fmt.Fprintf(b, "  kept until %s; to take it: tokenkeeper spool adopt %s %s\n", moment.Text(u.Until, now, false), u.Account, u.Attempt)
		return
	}
	fmt.Fprintf(b, "%s\n", u.File)
	if u.Account != "" {
		fmt.Fprintf(b, "  %s of account %s, version %d, begun %s\n", u.Kind, u.Account, u.Version, moment.Text(u.BegunAt, now, false))
	}
	if u.Overtaken {
		fmt.Fprintf(b, "  overtaken by v%d of the account; once that is refreshed, discard it with:\n    tokenkeeper spool discard %s --yes\n", u.AccountVersion, u.File)
	}
	if u.Fault != "" {
		fmt.Fprintf(b, "  %s\n", u.Fault)
	}
	if u.Shape == nil {
		return
	}
	fmt.Fprintf(b, "  %s\n", u.Shape)
	for _, m := range u.Shape.Members {
		fmt.Fprintf(b, "    %s: %s\n", m.Name, m.Kind)
	}
	if u.Shape.RefreshToken {
		b.WriteString("  a refresh token can be read in it\n")
	}
}

// login says for people which login an answer that was set aside belongs to; "":
// nobody knows.
func (u unreadAnswer) login() (text string) {
	switch {
	case u.Grant == 0 && u.Person == "":
		return ""
	case u.Grant == 0:
		text = "of a login"
	case u.Grant == u.AccountGrant:
		text = fmt.Sprintf("of the account's login or import number %d, as its token is", u.Grant)
	default:
		text = fmt.Sprintf("of the account's login or import number %d; its token is of number %d", u.Grant, u.AccountGrant)
	}
	if u.Person != "" {
		text += "; made by " + u.Person
	}
	return text
}
