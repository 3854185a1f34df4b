package supervisor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/brokersim"
	"github.com/tokenkeeper/tokenkeeper/sdk/files/filestest"
	pb "github.com/tokenkeeper/tokenkeeper/sdk/proto/provider/v1"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
	"github.com/tokenkeeper/tokenkeeper/supervisor/control"
	"github.com/tokenkeeper/tokenkeeper/supervisor/promise"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
	"github.com/tokenkeeper/tokenkeeper/supervisor/store"
)

func tokenOf(g brokersim.Grant) sdk.Token {
	return sdk.Token{
		AccessToken: sdk.NewSecret(g.AccessToken), RefreshToken: sdk.NewSecret(g.RefreshToken), IssuedAt: g.IssuedAt, Lifetime: g.ExpiresIn,
	}
}

// observed is a world that only observes a store with a token of the account main, which
// prepare may add to.
func observed(t *testing.T, c *consumers, prepare func(*store.Journal, store.Record) error) *world {
	t.Helper()
	return newWorld(t, c, worldYAML(c), func(w *world, o *Options) {
		o.Observe = true
		st, err := store.Open(w.path("disk/state"), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		rec := store.Record{Account: "main", Provider: "one"}.Next(tokenOf(w.brokers["one"].Grant("main")), store.OriginImport, "", time.Now())
		err = st.Commit(t.Context(), rec)
		if err == nil && prepare != nil {
			err = prepare(st, rec)
		}
		if err := errors.Join(err, st.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

func (w *world) accountStatus(name string) control.Account {
	w.t.Helper()
	for _, a := range w.status().Accounts {
		if a.Name == name {
			return a
		}
	}
	w.t.Fatalf("there is no account %s", name)
	return control.Account{}
}

// TestObserving: who only observes shows what is stored, and what would be done, also long
// after that and over a reload; and nothing is sent, delivered or written.
func TestObserving(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := observed(t, c, nil)
		before := filestest.Contents(t, w.path("disk"))
		if st := w.status(); !st.Observing || !strings.HasSuffix(st.StateDir, "disk/state") || len(st.Accounts[0].Sinks) != 0 {
			t.Errorf("%+v", st)
		}
		if got, err := w.backend().Sinks(t.Context()); err != nil || !got.Observing || len(got.Sinks) != 0 {
			t.Errorf("the sinks: %+v, %v", got, err)
		}
		main, side := w.accountStatus("main"), w.accountStatus("side")
		if main.Version != 1 || main.Would != "refresh" || !main.Due.After(time.Now()) || main.State != control.AccountValid {
			t.Errorf("main: %+v", main.Shown)
		}
		if side.Version != 0 || side.Would != refresh.WouldNothing {
			t.Errorf("side: %+v", side.Shown)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if main = w.accountStatus("main"); main.Version != 1 || main.Would != "refresh" || main.Due.After(time.Now()) || main.State != control.AccountExpired || main.Waiting != promise.None || main.WaitingText != "" {
			t.Errorf("main, once it is due: %+v", main.Shown)
		}
		w.write(strings.ReplaceAll(worldYAML(c), "before_expiry: 5m", "before_expiry: 6m") + c.sinkYAML("more", ""))
		w.accept()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for name, b := range map[string]*brokersim.Server{"main": w.brokers["one"], "side": w.brokers["two"]} {
			if n := b.Account(name).Posts; n != 0 {
				t.Errorf("%d requests for account %s", n, name)
			}
		}
		if filestest.Contents(t, w.path("disk")) != before {
			t.Error("the state directory has changed")
		}
		w.consumers.mu.Lock()
		if len(w.consumers.had) != 0 {
			t.Errorf("delivered: %+v", w.consumers.had)
		}
		w.consumers.mu.Unlock()
		if got := (&watched{s: w.Supervisor}).Standing(); !strings.HasPrefix(got, "only observes, nobody keeps the tokens; expired: ") {
			t.Errorf("it stands: %s", got)
		}
		if !strings.Contains(w.log.String(), `level=WARN msg="tokenkeeper only observes: no token is refreshed`) {
			t.Error("the log does not say so")
		}
		own := w.Supervisor.observed.own.path
		w.end()
		if _, err := os.Stat(own); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", own, err)
		}
	})
}

// TestObservingAnOpenAttempt: what became of it the spool knows, of which one who only
// observes takes nothing.
func TestObservingAnOpenAttempt(t *testing.T) {
	c := newConsumers(t)
	synctest.Test(t, func(t *testing.T) {
		w := observed(t, c, func(st *store.Journal, rec store.Record) error {
			return st.Intend(t.Context(), store.Intent{
				Account: "main", Provider: "one", Attempt: "cut-off", Kind: spool.KindRefresh, Version: rec.Version, Grant: rec.Grant,
				Fingerprint: rec.Token.RefreshToken.Fingerprint(), At: time.Now(),
			})
		})
		defer w.end()
		time.Sleep(time.Hour)
		if a := w.accountStatus("main"); a.Would != refresh.WouldSettle || !a.Due.IsZero() {
			t.Errorf("%+v", a.Shown)
		}
	})
}

// asked is a connection that says what reaches it.
type asked struct {
	grpc.ClientConnInterface
	methods []string
}

func (c *asked) Invoke(_ context.Context, method string, _, _ any, _ ...grpc.CallOption) error {
	c.methods = append(c.methods, method)
	return nil
}

// TestQuestions: whoever asks for it, nothing reaches a provider of one who only observes
// that could reach a broker.
func TestQuestions(t *testing.T) {
	through := &asked{}
	for _, m := range pb.Provider_ServiceDesc.Methods {
		err := questions{through}.Invoke(t.Context(), "/"+pb.Provider_ServiceDesc.ServiceName+"/"+m.MethodName, nil, nil)
		if harmless := m.MethodName == "Describe" || m.MethodName == "Ping"; (err == nil) != harmless {
			t.Errorf("%s: %v", m.MethodName, err)
		}
	}
	if len(through.methods) != 2 {
		t.Errorf("it was asked %v", through.methods)
	}
}
