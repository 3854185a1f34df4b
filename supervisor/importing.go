package supervisor

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/format"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

// Import takes an account's token from a token file straight into the store.
// It is for when no supervisor runs: the store's lock makes sure of that.
func Import(ctx context.Context, cfg *config.Config, account, formatName string, force bool, body []byte) (_ control.ImportAnswer, err error) {
	c, ok := cfg.Accounts[account]
	if !ok {
		return control.ImportAnswer{}, control.Errorf(control.CodeNotFound, "no account is named %q in %s", account, cfg.File)
	}
	st, err := store.Open(cfg.StateDir, store.Options{Now: time.Now, Fallback: cfg.FallbackDir})
	if err != nil {
		return control.ImportAnswer{}, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	silent := slog.New(slog.DiscardHandler)
	k, err := refresh.NewKeeper(ctx, refresh.Config{
		Provider: c.Provider, Accounts: []refresh.Account{refreshAccount(c)}, Store: st,
		Wake: func(string) {}, Events: event.NewBus(silent, time.Now), Log: silent, Wall: time.Now,
	})
	if err != nil {
		return control.ImportAnswer{}, err
	}
	return importInto(ctx, k, account, formatName, force, body, time.Now())
}

func importInto(ctx context.Context, k *refresh.Keeper, account, formatName string, force bool, body []byte, now time.Time) (control.ImportAnswer, error) {
	if formatName == "" {
		name, ok := format.Detect(body)
		if !ok {
			return control.ImportAnswer{}, control.Errorf(control.CodeBadRequest,
				"account %s: the file is not a token file of a known format; name one with --format: %s", account, strings.Join(format.Names(), ", "))
		}
		formatName = name
	}
	doc, err := format.Decode(formatName, body, format.Options{Location: time.Local})
	if err != nil {
		return control.ImportAnswer{}, control.Errorf(control.CodeBadRequest, "account %s: read the token file: %v", account, err)
	}
	if doc.RefreshToken.IsZero() {
		return control.ImportAnswer{}, control.Errorf(control.CodeBadRequest,
			"account %s: the file holds no refresh token, so nothing could be kept alive with it", account)
	}
	rec, err := k.Import(ctx, imported(account, doc, store.OriginImport, now), force)
	if err != nil {
		return control.ImportAnswer{}, apiError(err)
	}
	return control.ImportAnswer{
		Account: account, Version: rec.Version, Format: formatName, Expiry: rec.Token.Expiry(), ExpiryUncertain: rec.Token.Uncertain,
		RefreshExpiry: rec.RefreshExpiry, RefreshExpiryUncertain: rec.LoginUncertain,
	}, nil
}

// imported is a document as the account's next record.
func imported(account string, d format.Document, origin store.Origin, now time.Time) store.Record {
	return store.Record{
		Account: account, Origin: origin, Token: refresh.TokenOf(d, now), LoginAt: d.LoginAt, LoginUncertain: d.LoginUncertain,
	}
}
