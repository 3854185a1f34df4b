// Package importing makes what a person brings an account's next record: a token
// file, an answer that was set aside, or his word on when he logged in.
package importing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/internal/roster"
	"github.com/tokenkeeper/tokenkeeper/supervisor/leftover"
	"github.com/tokenkeeper/tokenkeeper/supervisor/moment"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/statedir"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Offline takes an account's token from a token file straight into the store.
// It is for when no supervisor runs: the store's lock makes sure of that. known
// is what the account's provider says of itself; nil: nobody has asked it.
func Offline(ctx context.Context, cfg *config.Config, req control.ImportRequest, known *sdk.Description) (got control.ImportAnswer, err error) {
	c, ok := cfg.Accounts[req.Account]
	if !ok {
		return control.ImportAnswer{}, control.NoAccount(req.Account, cfg)
	}
	err = statedir.Use(cfg.StateDir, cfg.FallbackDir, func(st *store.Journal) error {
		silent := slog.New(slog.DiscardHandler)
		k, err := refresh.NewKeeper(ctx, refresh.Config{
			Provider: c.Provider, Accounts: []refresh.Account{roster.Nobody(cfg).Account(c)}, Store: st,
			Wake: func(string) {}, Events: event.NewBus(silent, time.Now), Log: silent, Wall: time.Now,
			Others: func(account, fingerprint string) string { return othersIn(ctx, st, cfg, account, fingerprint) },
			Left:   leftover.Holder(ctx, cfg, st, c.Provider),
		})
		if err != nil {
			return err
		}
		if known != nil {
			k.Meet(*known)
		}
		got, err = Into(ctx, k, cfg, req)
		return err
	})
	return got, err
}

// othersIn is [refresh.Config.Others] of a store that nobody uses.
func othersIn(ctx context.Context, st *store.Journal, cfg *config.Config, account, fingerprint string) string {
	for name := range cfg.Accounts {
		rec, err := st.Load(ctx, name)
		if err == nil && name != account && (rec.Token.RefreshToken.Fingerprint() == fingerprint || rec.Replaced(fingerprint)) {
			return name
		}
	}
	return ""
}

// Into imports into the account of a Keeper. Its errors are those of the control API.
func Into(ctx context.Context, k *refresh.Keeper, cfg *config.Config, req control.ImportRequest) (control.ImportAnswer, error) {
	account, name := req.Account, req.Format
	if req.Attempt != "" {
		return takeSetAside(ctx, k, req)
	}
	if !req.LoginAt.IsZero() {
		if err := k.CheckLoginTime(account, req.LoginAt, req.Force); err != nil {
			return control.ImportAnswer{}, control.RefreshError(err)
		}
		if len(req.Body) == 0 {
			rec, err := k.TellLogin(ctx, account, sdk.Secret{}, req.LoginAt)
			return told(k, rec, err)
		}
	}
	if name == "" {
		var err error
		if name, err = format.Detect(req.Body); err != nil {
			return control.ImportAnswer{}, control.Errorf(control.CodeBadRequest,
				"account %s: the file is not a token file of a known format: %v; name one with --format: %s",
				account, err, strings.Join(format.ReadNames(), ", "))
		}
	}
	doc, err := format.Decode(name, req.Body, format.Options{Location: time.Local})
	if err != nil {
		return control.ImportAnswer{}, control.Errorf(control.CodeBadRequest, "account %s: read the token file: %v", account, err)
	}
	if err := usable(k, account, doc, req.Force); err != nil {
		return control.ImportAnswer{}, err
	}
	if _, known := cfg.Accounts[doc.Account]; known && doc.Account != account && !req.Force {
		return control.ImportAnswer{}, control.Errorf(control.CodeConflict,
			"account %s: the file is account %s's, by its own word; import it there, or give --force if it is this one's all the same", account, doc.Account)
	}
	if app := cfg.Accounts[account].ClientID; doc.ClientID != "" && app != "" && doc.ClientID != app && !req.Force {
		return control.ImportAnswer{}, control.Errorf(control.CodeConflict,
			"account %s: the file's token is another app's (its key begins with %.4s, client_id with %.4s), and would be refused; correct accounts.%[1]s.client_id, or give --force if it is this one's all the same",
			account, doc.ClientID, app)
	}
	if !req.LoginAt.IsZero() {
		if !req.Force {
			rec, err := k.TellLogin(ctx, account, doc.RefreshToken, req.LoginAt)
			if !errors.Is(err, refresh.ErrAnotherToken) && !errors.Is(err, refresh.ErrNoToken) && !errors.Is(err, refresh.ErrNeedsLogin) {
				return told(k, rec, err)
			}
		}
		doc.LoginAt, doc.LoginUncertain = req.LoginAt, false
	}
	doc.WrittenAt = req.WrittenAt
	next, doubts := Record(k, account, doc, store.OriginImport)
	if req.Since != nil {
		next.Version = *req.Since + 1
	}
	rec, err := k.Import(ctx, next, req.Force)
	if errors.Is(err, refresh.ErrHasToken) && !req.LoginAt.IsZero() {
		err = fmt.Errorf("%w, or leave FILE out to say only when its login was made", err)
	}
	if err != nil {
		return control.ImportAnswer{}, control.RefreshError(err)
	}
	if st, _ := k.Status(account); !st.AmbiguousSince.IsZero() {
		doubts = append(doubts, fmt.Sprintf("an attempt begun %s has sent this very token, and nobody knows whether it is used up: see tokenkeeper status %s",
			moment.Stamp(st.AmbiguousSince), account))
	}
	got := answer(k, rec)
	got.Format, got.Warnings = name, doubts
	return got, nil
}

// usable refuses a document with which the account's provider can do nothing.
func usable(k *refresh.Keeper, account string, doc format.Document, force bool) error {
	if way, _ := k.Way(); way == store.WayMint && !force {
		return control.Errorf(control.CodeConflict,
			"account %s: its provider mints its tokens from client_id, client_secret and settings, so none has to be imported; give --force to take this one all the same", account)
	}
	refused := func(text string) error {
		return control.Errorf(control.CodeBadRequest, "account %s: the file holds no %s", account, text)
	}
	blank := func(s sdk.Secret) bool { return strings.TrimSpace(s.Reveal()) == "" }
	switch way, known := k.Way(); {
	case !blank(doc.RefreshToken) && (!known || way == store.WayRefresh):
		return nil
	case !known:
		return refused("refresh token, and its provider, which may do without one, has not said so yet: start it, or correct its command, and try again")
	case way == store.WayRefresh:
		return refused("refresh token, so nothing could be kept alive with it")
	case blank(doc.AccessToken):
		return refused("access token, and this provider can use nothing else")
	}
	return nil
}

// takeSetAside takes the token of an answer that was set aside.
func takeSetAside(ctx context.Context, k *refresh.Keeper, req control.ImportRequest) (control.ImportAnswer, error) {
	rec, err := k.TakeLate(ctx, req.Account, req.Attempt)
	switch {
	case errors.Is(err, refresh.ErrNotKept):
		return control.ImportAnswer{}, control.Errorf(control.CodeNotFound, "%v", err)
	case err != nil:
		return control.ImportAnswer{}, control.RefreshError(err)
	}
	got := answer(k, rec)
	got.Format = "a broker's answer"
	return got, nil
}

// told is the answer to a person's word on the time of a login.
func told(k *refresh.Keeper, rec store.Record, err error) (control.ImportAnswer, error) {
	if err != nil {
		return control.ImportAnswer{}, control.RefreshError(err)
	}
	got := answer(k, rec)
	got.LoginTimeOnly = true
	return got, nil
}

func answer(k *refresh.Keeper, rec store.Record) control.ImportAnswer {
	got := control.ImportAnswer{
		Account: rec.Account, Version: rec.Version, Way: refresh.WayName(rec), Expiry: rec.Token.Expiry(), ExpiryUncertain: rec.Token.Uncertain,
		RefreshExpiry: rec.RefreshExpiry, RefreshExpiryUncertain: k.EndGuessed(rec), LoginAt: rec.LoginAt,
	}
	say := fmt.Sprintf("say when you logged in with: tokenkeeper import %s --login-time TIME", rec.Account)
	switch k.LoginEnd(rec) {
	case refresh.EndUnknown:
		got.RefreshExpiryUnknown = true
		got.Advice = "nobody knows when this login ends, so nobody is told in time that a new one is due; " + say
	case refresh.EndUnmet:
		got.Advice = "nothing tells when you logged in: if a login at this broker ends a fixed time after that, nobody knows when; " + say
	default:
		st, _ := k.Status(rec.Account)
		got.Advice = st.Advice()
	}
	return got
}

// Record is a document as the account's next record, and what is not believed
// of it.
func Record(k *refresh.Keeper, account string, d format.Document, origin store.Origin) (store.Record, []string) {
	f := k.Foreign(d)
	return store.Record{
		Account: account, Origin: origin, Token: f.Token,
		LoginAt: f.LoginAt, LoginUncertain: d.LoginUncertain && !f.LoginAt.IsZero(),
	}, f.Doubts
}
