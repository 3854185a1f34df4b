package control_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk/waittest"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config/difference"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/sink"
)

// backend is a supervisor with one provider and one account.
type backend struct {
	imported control.ImportRequest
	wanted   control.TokenRequest
	// redirected is what CompleteLogin got.
	redirected string
	health     control.Health
	// hold, if set, keeps Refresh until it is closed or the caller goes away,
	// which held tells.
	hold, entered, left chan struct{}
}

func (b *backend) Status(context.Context) (control.Status, error) {
	return control.Status{Version: "1.2.3", PID: 7, Accounts: []control.Account{{Name: "main", Shown: refresh.Shown{State: control.AccountValid}}}}, nil
}

func (b *backend) Health(context.Context) control.Health { return b.health }

func (b *backend) ConfigDifference(context.Context) (control.ConfigDifference, error) {
	return control.ConfigDifference{Config: "/etc/tk.yaml", Changed: true, Difference: difference.Difference{Keys: []string{"log.level"}}}, nil
}

func (b *backend) Reload(context.Context) (control.ReloadAnswer, error) {
	return control.ReloadAnswer{Config: "/etc/tk.yaml", Difference: difference.Difference{Keys: []string{"alerts.repeat"}}}, nil
}

func (b *backend) Accounts(context.Context) (control.AccountList, error) {
	return control.AccountList{Accounts: []control.ListedAccount{{Name: "old", Provider: "schwab", Version: 4, HasLogin: true, MayBe: []string{"main"}}}}, nil
}

func (b *backend) RenameAccount(_ context.Context, from, to string) (control.RenameAnswer, error) {
	if from == to {
		return control.RenameAnswer{}, control.Errorf(control.CodeBadRequest, "account %s has that name already", from)
	}
	return control.RenameAnswer{Account: to, From: from, Version: 4}, nil
}

func (b *backend) ForgetAccount(_ context.Context, account string, revoke bool, by event.Caller) (control.ForgetAnswer, error) {
	if revoke && by.PID != 0 {
		return control.ForgetAnswer{Account: account, Version: 4, Revoked: time.Unix(5, 0)}, nil
	}
	if account == "main" {
		return control.ForgetAnswer{}, control.Errorf(control.CodeConflict, "account main is in the configuration")
	}
	return control.ForgetAnswer{Account: account, Provider: "schwab", Version: 4}, nil
}

func (b *backend) Adopt(context.Context) (control.AdoptAnswer, error) {
	return control.AdoptAnswer{Adopted: true, From: "vm-1 (0a)", To: "vm-2 (0b)"}, nil
}

func (b *backend) Restart(_ context.Context, provider string) (control.RestartAnswer, error) {
	if provider != "schwab" {
		return control.RestartAnswer{}, control.Errorf(control.CodeNotFound, "there is no provider %q", provider)
	}
	return control.RestartAnswer{Provider: provider, OldPID: 1, PID: 2, Generation: 2}, nil
}

func (b *backend) Refresh(ctx context.Context, account string, force bool) (control.RefreshAnswer, error) {
	if b.hold != nil {
		close(b.entered)
		select {
		case <-b.hold:
		case <-ctx.Done():
		}
		close(b.left)
	}
	return control.RefreshAnswer{Account: account, Refreshed: force, Version: 5}, ctx.Err()
}

func (b *backend) TestAccount(_ context.Context, account string) (control.AccountTestAnswer, error) {
	return control.AccountTestAnswer{Account: account, Version: 5, Took: time.Second}, nil
}

func (b *backend) RevokePlan(_ context.Context, account string) (control.RevokePlan, error) {
	return control.RevokePlan{Account: account, Version: 5, Ends: control.EndsClient, Others: []string{"other"}}, nil
}

func (b *backend) Revoke(_ context.Context, account, agreed string, by event.Caller) (control.RevokeAnswer, error) {
	if by.PID == 0 || agreed != control.EndsClient {
		return control.RevokeAnswer{}, errors.New("nobody has asked")
	}
	return control.RevokeAnswer{Account: account, Version: 5, Took: time.Second}, nil
}

func (b *backend) Pause(_ context.Context, req control.PauseRequest) (control.PauseAnswer, error) {
	p := control.Pause{Since: time.Unix(0, 0), By: req.By, Reason: req.Reason}
	if req.For > 0 {
		p.Until = p.Since.Add(req.For)
	}
	return control.PauseAnswer{Account: req.Account, Pause: p}, nil
}

func (b *backend) PauseAll(ctx context.Context, req control.PauseRequest) (control.PauseAnswers, error) {
	one, err := b.Pause(ctx, req)
	return control.PauseAnswers{Accounts: []control.PauseAnswer{one}}, err
}

func (b *backend) Resume(_ context.Context, account string, by event.Caller) (control.ResumeAnswer, error) {
	return control.ResumeAnswer{Account: account, Resumed: true, Pause: &control.Pause{By: by}}, nil
}

func (b *backend) ResumeAll(ctx context.Context, by event.Caller) (control.ResumeAnswers, error) {
	one, err := b.Resume(ctx, "", by)
	return control.ResumeAnswers{Accounts: []control.ResumeAnswer{one}}, err
}

func (b *backend) CancelLogin(_ context.Context, account string) (control.CancelledAnswer, error) {
	return control.CancelledAnswer{Account: account}, nil
}

func (b *backend) Login(_ context.Context, account, _ string, _ event.Caller) (control.LoginAnswer, error) {
	return control.LoginAnswer{Account: account, Address: "https://broker.example/authorize?state=s"}, nil
}

func (b *backend) AwaitLogin(_ context.Context, account, id string) (control.AwaitedAnswer, error) {
	if id != "id" {
		return control.AwaitedAnswer{}, control.Errorf(control.CodeConflict, "no login is open")
	}
	return control.AwaitedAnswer{Account: account}, nil
}

func (b *backend) CompleteLogin(_ context.Context, account, redirected string) (control.LoggedInAnswer, error) {
	b.redirected = redirected
	return control.LoggedInAnswer{Account: account, Version: 9}, nil
}

func (b *backend) ConfirmLogin(_ context.Context, account string) (control.LoggedInAnswer, error) {
	if account != "main" {
		return control.LoggedInAnswer{}, control.Errorf(control.CodeConflict, "no login waits")
	}
	return control.LoggedInAnswer{Account: account, Version: 10, Person: "bob (0011)"}, nil
}

func (b *backend) DiscardLogin(_ context.Context, account string) (control.DiscardedAnswer, error) {
	if account != "main" {
		return control.DiscardedAnswer{}, control.Errorf(control.CodeAnotherPerson, "somebody else waits")
	}
	return control.DiscardedAnswer{Account: account, Person: "bob (0011)"}, nil
}

func (b *backend) Token(_ context.Context, account string) (control.TokenAnswer, error) {
	switch account {
	case "main":
		return control.TokenAnswer{Account: account, Version: 3, AccessToken: "at-<&>", TokenType: "Bearer"}, nil
	case "dead":
		return control.TokenAnswer{}, control.Errorf(control.CodeNeedsLogin, "account dead needs a login")
	case "empty":
		return control.TokenAnswer{}, control.Errorf(control.CodeNoToken, "account empty has no token yet")
	case "odd":
		return control.TokenAnswer{}, errors.New("the store is on fire")
	}
	return control.TokenAnswer{}, control.Errorf(control.CodeNotFound, "there is no account %q", account)
}

func (b *backend) UsableToken(ctx context.Context, req control.TokenRequest) (control.TokenAnswer, error) {
	b.wanted, b.wanted.May = req, nil
	if req.IfVersion >= 3 {
		late := control.Errorf(control.CodeNotYet, "account %s: not yet", req.Account)
		late.RetryAt = time.Date(2100, 1, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
		return control.TokenAnswer{}, late
	}
	return b.Token(ctx, req.Account)
}

func (b *backend) Import(_ context.Context, req control.ImportRequest) (control.ImportAnswer, error) {
	b.imported = req
	return control.ImportAnswer{Account: req.Account, Version: 1, Format: "schwab"}, nil
}

// serve starts a server on a socket of its own and returns its path.
func serve(t *testing.T, b control.Backend) (socket string, bus *event.Bus, stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	socket = filepath.Join(t.TempDir(), "control.sock")
	ln, err := control.Listen(socket, config.Control{})
	if err != nil {
		t.Fatal(err)
	}
	bus = event.NewBus(log, time.Now)
	return socket, bus, serveOn(t, ln, control.NewServer(b, bus, log))
}

func serveOn(t *testing.T, ln net.Listener, s *control.Server) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-waittest.Late(t):
			t.Error("Serve did not return after its context ended")
		}
	}
	t.Cleanup(stop)
	return stop
}

func (b *backend) Sinks(context.Context) (control.Sinks, error) {
	return control.Sinks{Sinks: []control.Sink{{Name: "bot", Type: "unixsocket", Summary: sink.Summary{UpToDate: 1}}}}, nil
}

func (b *backend) AcknowledgeAlert(_ context.Context, key string) (event.Alert, error) {
	return event.Alert{Key: key, Hush: &event.Hush{}}, nil
}

func (b *backend) SilenceAlert(_ context.Context, key string, during time.Duration) (event.Alert, error) {
	return event.Alert{Key: key, Hush: &event.Hush{Until: time.Unix(0, 0).Add(during)}}, nil
}

func (b *backend) ResumeAlert(_ context.Context, key string) (event.Alert, error) {
	return event.Alert{Key: key}, nil
}

func (b *backend) Alerts(context.Context) (control.Alerts, error) {
	return control.Alerts{Alerts: []event.Alert{{Key: "needs_login:main", Type: event.NeedsLogin, State: event.AlertRaised, Account: "main"}}}, nil
}

func (b *backend) TestSink(_ context.Context, sink string) (control.SinkTestAnswer, error) {
	if sink != "bot" {
		return control.SinkTestAnswer{}, control.Errorf(control.CodeNotFound, "there is no sink %q", sink)
	}
	return control.SinkTestAnswer{Sink: sink, Done: "wrote and removed a file"}, nil
}

func (b *backend) Redeliver(_ context.Context, sink, account string, force bool) (control.RedeliverAnswer, error) {
	if force {
		return control.RedeliverAnswer{Sink: sink, Account: account, Deliveries: 1}, nil
	}
	return control.RedeliverAnswer{Sink: sink, Account: account, Deliveries: 3}, nil
}

func (b *backend) DisableSink(_ context.Context, sink string) (control.Sink, error) {
	return control.Sink{Name: sink, Disabled: &control.Disabled{By: "a person"}}, nil
}

func (b *backend) EnableSink(_ context.Context, sink string) (control.Sink, error) {
	return control.Sink{Name: sink}, nil
}

func (b *backend) RestartSink(_ context.Context, sink string) (control.SinkRestartAnswer, error) {
	return control.SinkRestartAnswer{}, control.Errorf(control.CodeBadRequest, "sink %q has no process", sink)
}
