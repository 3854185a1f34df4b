package brokersim

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// totpStep and the six digits are the defaults of RFC 6238, section 4.1, and RFC
// 4226, section 5.3.
const totpStep = 30 * time.Second

// TOTP is the code of a key at a time (RFC 6238), with SHA-1 and six digits.
func TOTP(key []byte, at time.Time) string { return totp(key, at.Unix()/int64(totpStep/time.Second)) }

func totp(key []byte, step int64) string {
	mac := hmac.New(sha1.New, key)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff%1_000_000)
}

// parseMint reads a login without a person: the parameters stand in the address.
func (s *desk) parseMint(r *http.Request) (form url.Values, _ *refusal) {
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || repeated(form) != "" {
		return url.Values{"grant_type": {grantTOTP}}, &refusal{code: codeInvalidRequest, detail: "the query is malformed or repeats a parameter"}
	}
	form.Set("grant_type", grantTOTP)
	return form, nil
}

// grantMint logs in with a PIN and a code, which is good for its own step and the
// one before (RFC 6238, section 5.2), and once. s.mu is held.
func (s *desk) grantMint(ex *exchange) (issued, *refusal) {
	account, now := ex.request.Account, s.now()
	step := now.Unix() / int64(totpStep/time.Second)
	used := step + 1
	for _, n := range []int64{step, step - 1} {
		if same(ex.form.Get("totp"), totp(s.cfg.TOTPKey, n)) {
			used = n
		}
	}
	wrong := ""
	switch {
	case !same(ex.form.Get("pin"), s.cfg.PIN):
		wrong = "the PIN is wrong"
	case used > step:
		wrong = "the TOTP code is wrong, or of another time"
	case used <= s.lastStep[account]:
		wrong = "the TOTP code was used before"
	}
	if wrong != "" {
		s.budget.spend(account+" failed", s.rules.failedPerHour, now)
		return issued{}, &refusal{code: codeInvalidGrant, detail: wrong}
	}
	s.lastStep[account] = used
	g := &grant{account: account}
	return s.beginGrant(g, now, now), nil
}
