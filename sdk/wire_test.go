package sdk

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// fill sets every field that reflection can reach, so that a field which the
// wire forgets shows as soon as it is added.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	switch v.Interface().(type) {
	case Secret:
		v.Set(reflect.ValueOf(NewSecret("secret")))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2024, 2, 29, 1, 2, 3, 4, time.UTC)))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			fill(t, field)
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(12345678901)
	case reflect.Uint64:
		v.SetUint(7)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0))
		fill(t, v.Index(1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(t, value)
		v.SetMapIndex(reflect.ValueOf("key"), value)
	default:
		t.Fatalf("no value for a %s", v.Type())
	}
}

func roundTrip[T, M any](t *testing.T, there func(T) M, back func(M) T) {
	t.Helper()
	var zero, full T
	fill(t, reflect.ValueOf(&full).Elem())
	if d, ok := any(&full).(*SinkDescription); ok { // a sink has no server of refresh tokens
		for n := range d.Settings {
			d.Settings[n].Server = false
		}
	}
	for _, v := range []T{zero, full} {
		if got := back(there(v)); !reflect.DeepEqual(got, v) {
			t.Errorf("%T: sent %#v, got %#v", v, v, got)
		}
	}
}

func TestTheWireForgetsNothing(t *testing.T) {
	roundTrip(t, fromToken, toToken)
	roundTrip(t, fromAccount, toAccount)
	roundTrip(t, fromAttempt, toAttempt)
	roundTrip(t, fromDescription, toDescription)
	roundTrip(t, fromEntry, toEntry)
	roundTrip(t, fromLogin, toLogin)
	var _ spool.Entry

	roundTrip(t, fromSinkDescription, toSinkDescription)
	roundTrip(t, fromRestore, toRestore)
	roundTrip(t, fromRestored, toRestored)
	roundTrip(t, fromHolds, toHolds)
	roundTrip(t, fromTest, toTest)
	roundTrip(t, fromNotice, toNotice)
	var d DeliverRequest
	fill(t, reflect.ValueOf(&d).Elem())
	got := toDelivery(fromDelivery(d))
	d.Token.Private, d.Token.RefreshLifetime, d.Token.Skew, d.Token.Rescued = nil, 0, 0, "" // not for sinks
	if !reflect.DeepEqual(got, d) {
		t.Errorf("sent %#v, got %#v", d, got)
	}
}

func TestErrorsCrossTheWire(t *testing.T) {
	for _, kind := range []Kind{KindTransient, KindInvalidGrant, KindInvalidClient, KindRateLimited, KindAmbiguous, KindNotSent, KindPending} {
		sent := &Error{Kind: kind, Message: "what happened", RetryAfter: 90 * time.Second, HTTPStatus: 418, OAuthError: "code"}
		got := fromStatus(toStatus(sent))
		if !reflect.DeepEqual(got, error(sent)) {
			t.Errorf("sent %#v, got %#v", sent, got)
		}
		if !errors.Is(got, &Error{Kind: kind}) || KindOf(got) != kind {
			t.Errorf("%s is not of its kind any more", kind)
		}
	}
	wrapped := fromStatus(toStatus(errors.Join(errors.New("outer"), ErrInvalidGrant)))
	if !errors.Is(wrapped, ErrInvalidGrant) || !strings.Contains(wrapped.Error(), "outer") {
		t.Errorf("a wrapped error arrives as %v", wrapped)
	}
	if got := fromStatus(toStatus(errors.New("plain"))); KindOf(got) != KindTransient || got.Error() != "plain" {
		t.Errorf("a plain error arrives as %#v", got)
	}
	if got := fromStatus(toStatus(ErrUnimplemented)); !errors.Is(got, ErrUnimplemented) {
		t.Errorf("unimplemented arrives as %v", got)
	}
	if got := fromStatus(toStatus(&Error{Kind: KindInvalidGrant, Message: "bad \xff bytes"})); KindOf(got) != KindInvalidGrant {
		t.Errorf("bytes that are no UTF-8 turn the error into %v", got)
	}
}

// Errors without our detail are the connection's: nothing is known then.
func TestConnectionErrors(t *testing.T) {
	for _, err := range []error{
		status.Error(codes.Unavailable, "the process died"), status.FromContextError(context.DeadlineExceeded).Err(), errors.New("no status"),
	} {
		if got := fromStatus(err); !errors.Is(got, ErrConnection) {
			t.Errorf("%v arrives as %v", err, got)
		}
	}
	for err, want := range map[error]string{
		status.Error(codes.Unavailable, "error reading from server: EOF"):             "ended before it had answered",
		status.Error(codes.Canceled, "grpc: the client connection is closing"):        "ended before it had answered",
		status.FromContextError(context.DeadlineExceeded).Err():                       "had not answered in time",
		status.Error(codes.Internal, "the plugin's code returned what can't be sent"): "can't be sent",
	} {
		got := fromStatus(err).Error()
		if !strings.Contains(got, want) {
			t.Errorf("%v arrives as %q, which does not say %q", err, got, want)
		}
		for _, raw := range []string{"EOF", "grpc", "context", "rpc"} {
			if strings.Contains(got, raw) {
				t.Errorf("%q repeats %q to a person", got, raw)
			}
		}
	}
	if fromStatus(nil) != nil {
		t.Error("success arrives as an error")
	}
}

// A provider names version 2 only if it needs that.
func TestVersionOfTheContract(t *testing.T) {
	for name, tt := range map[string]struct {
		provider Provider
		want     int
	}{
		"refreshes": {refreshes{}, ProtocolVersion},
		"renews": {struct {
			Renewer
			refreshes
		}{}, KindsVersion},
		"mints": {struct {
			Minter
			refreshes
		}{}, KindsVersion},
		"beats": {struct {
			Keepalive
			refreshes
		}{}, KindsVersion},
		"guides": {struct {
			LoginGuide
			refreshes
		}{}, KindsVersion},
		"no refresh": {struct {
			describes
			NoRefresh
		}{}, KindsVersion},
	} {
		if got := versionOf(tt.provider); got != tt.want {
			t.Errorf("%s: version %d, want %d", name, got, tt.want)
		}
	}
}

type describes struct{}

func (describes) Describe(context.Context) (Description, error) { return Description{}, nil }

type refreshes struct{ describes }

func (refreshes) Refresh(context.Context, RefreshRequest) (Token, error) { return Token{}, nil }

// A default may name other settings that say where refresh tokens are sent; of one that says
// nothing of that it is what it is.
func TestDefaultsNameOtherSettings(t *testing.T) {
	all := []Setting{{Name: "environment", Default: "sim"}, {Name: "region", Server: true}, {Name: "template", Default: "{region}"},
		{Name: "token_url", Default: "https://{environment}.{region}.example/{unknown}", Server: true}}
	for want, values := range map[string]map[string]string{
		"https://sim.{region}.example/{unknown}": nil,
		"https://live.eu.example/{unknown}":      {"environment": "live", "region": "eu"},
	} {
		if got := all[3].DefaultFor(values, all); got != want {
			t.Errorf("%v: %s, want %s", values, got, want)
		}
	}
	if got := all[2].DefaultFor(map[string]string{"region": "eu"}, all); got != "{region}" {
		t.Errorf("a template of the provider's: %s", got)
	}
}
