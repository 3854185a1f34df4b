package sinktest

import (
	"errors"
	"fmt"
	"testing"
)

// recorder notes whether an assertion failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }

type hiding struct {
	msg    string
	answer []byte
	inner  any
}

func (h *hiding) Error() string { return h.msg }

func TestAssertNoSecretFindsThem(t *testing.T) {
	token := accessToken("a", 1)
	d := Full("a", 1)
	for name, err := range map[string]error{
		"in the text":      fmt.Errorf("answered %q", token),
		"in a joined one":  errors.Join(errors.New("x"), fmt.Errorf("y: %w", errors.New(token))),
		"in hidden bytes":  &hiding{msg: "x", answer: []byte(token)},
		"in the delivery":  fmt.Errorf("x: %w", &hiding{msg: "x", inner: &d}),
		"in a map":         &hiding{msg: "x", inner: map[string]string{"k": token}},
		"as decimal bytes": fmt.Errorf("%v", []byte(canary)),
	} {
		r := &recorder{TB: t}
		AssertNoSecret(r, err)
		if !r.failed {
			t.Errorf("%s: not found", name)
		}
	}
	r := &recorder{TB: t}
	AssertNoSecret(r, fmt.Errorf("x: %w", &hiding{msg: "no answer", answer: []byte("nothing")}))
	if r.failed {
		t.Error("found a secret where there is none")
	}
}
