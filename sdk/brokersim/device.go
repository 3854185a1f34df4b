package brokersim

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// The device authorization grant (RFC 8628), which Config.Device adds to any dialect
// that takes forms. Every rule is the RFC's; no broker's own was read: that one of them
// has this grant at all is UNVERIFIED.

const (
	grantDevice = "urn:ietf:params:oauth:grant-type:device_code"
	devicePath  = "/oauth2/device_authorization"
	// approvePath is where a person types the code, or comes with it in the address.
	approvePath = "/device"
	// deviceLifetime and deviceInterval are those of the example in section 3.2;
	// slower is by how much slow_down lengthens the interval (section 3.5).
	deviceLifetime = 30 * time.Minute
	deviceInterval = 5 * time.Second
	slower         = 5 * time.Second
	// userCodeLetters are those of section 6.1.
	userCodeLetters = "BCDFGHJKLMNPQRSTVWXZ"

	codePending  = "authorization_pending"
	codeSlowDown = "slow_down"
	codeDenied   = "access_denied"
	codeExpired  = "expired_token"
)

// deviceLogin is a login that waits for a person.
type deviceLogin struct {
	code, userCode string
	expires        time.Time
	interval       time.Duration
	polled         time.Time // zero: never
	account        string    // that has approved; "": nobody yet
	denied         bool
	grant          *grant // set once it was ended
}

// DeviceURL begins logins with a device code; "": the server has no such thing.
func (s *site) DeviceURL() string {
	if !s.cfg.Device {
		return ""
	}
	return s.URL() + devicePath
}

// ApproveDevice is a person who types a user code and logs account in; false: nobody
// waits with that code. Case and hyphens mean nothing (section 6.1).
func (s *persons) ApproveDevice(userCode, account string) bool {
	return s.decide(userCode, func(d *deviceLogin) { d.account = account })
}

// DenyDevice is a person who refuses.
func (s *persons) DenyDevice(userCode string) bool {
	return s.decide(userCode, func(d *deviceLogin) { d.denied = true })
}

func (s *persons) decide(userCode string, how func(*deviceLogin)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	for _, d := range s.devices {
		if plainCode(d.userCode) == plainCode(userCode) && d.account == "" && !d.denied && s.now().Before(d.expires) {
			how(d)
			return true
		}
	}
	return false
}

func plainCode(typed string) string { return strings.ToUpper(strings.ReplaceAll(typed, "-", "")) }

// serveDevice is section 3.1 and 3.2.
func (s *Server) serveDevice(w http.ResponseWriter, r *http.Request) {
	form, refused := s.parseTokenRequest(r)
	s.mu.Lock()
	if refused == nil {
		refused = s.checkDevice(r, form)
	}
	if refused != nil {
		s.violate("", refused.String())
		s.mu.Unlock()
		s.rules.refuse(*refused).write(w, func() {})
		return
	}
	d := &deviceLogin{
		code: randomText(32), userCode: newUserCode(), interval: deviceInterval, expires: s.now().Add(sped(deviceLifetime, s.cfg.Speed)),
	}
	s.devices[d.code] = d
	s.notify()
	s.mu.Unlock()
	address := s.URL() + approvePath
	jsonAnswer(http.StatusOK, map[string]any{
		"device_code": d.code, "user_code": d.userCode, "verification_uri": address,
		"verification_uri_complete": address + "?" + url.Values{"user_code": {d.userCode}}.Encode(),
		"expires_in":                seconds(sped(deviceLifetime, s.cfg.Speed)), "interval": seconds(d.interval),
	}).write(w, func() {})
}

// checkDevice: a client with a secret authenticates as at the token endpoint. s.mu is
// held.
func (s *desk) checkDevice(r *http.Request, form url.Values) *refusal {
	if _, refused := s.authenticate(r, form); refused != nil {
		return refused
	}
	for name := range form {
		switch name {
		case "client_id", "client_secret", "scope", "client_assertion", "client_assertion_type":
		default:
			return &refusal{code: codeInvalidRequest, detail: "parameter " + printable(name) + " does not belong to this request"}
		}
	}
	return nil
}

// serveApproval lets whoever opens the whole address (section 3.3.1) log in, or refuse
// if [Server.DenyNextLogin] says so: as at the authorize page nothing is to be clicked.
func (s *Server) serveApproval(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	account, deny := s.login.account, s.login.deny
	s.login.deny = false
	s.mu.Unlock()
	code := r.URL.Query().Get("user_code")
	if deny && s.DenyDevice(code) || !deny && s.ApproveDevice(code, account) {
		_, _ = w.Write([]byte("You can go back to your device.\n"))
		return
	}
	http.Error(w, "nobody waits with this code", http.StatusNotFound)
}

// grantDevice is sections 3.4 and 3.5. s.mu is held.
func (s *desk) grantDevice(ex *exchange) (issued, *refusal) {
	now := s.now()
	d := s.devices[ex.form.Get("device_code")]
	switch {
	case d == nil, d.grant != nil:
		return issued{}, &refusal{code: codeInvalidGrant, detail: "the device code is unknown, or was used before"}
	case !now.Before(d.expires):
		return issued{}, &refusal{code: codeExpired, detail: "the device code has expired"}
	}
	early := !d.polled.IsZero() && now.Sub(d.polled) < d.interval
	d.polled = now
	switch {
	case early:
		d.interval += slower
		s.violate(d.account, "a device code was polled more often than allowed")
		return issued{}, &refusal{code: codeSlowDown, detail: "poll less often"}
	case d.denied:
		return issued{}, &refusal{code: codeDenied, detail: "the person refused"}
	case d.account == "":
		return issued{}, &refusal{code: codePending, detail: "the person is not done"}
	}
	d.grant = &grant{account: d.account, redirectURI: s.cfg.RedirectURL}
	return s.beginGrant(d.grant, now, now), nil
}

// newUserCode is of the form of section 6.1.
func newUserCode() string {
	b := []byte(randomText(8))[:8]
	for i := range b {
		b[i] = userCodeLetters[int(b[i])%len(userCodeLetters)]
	}
	return string(b[:4]) + "-" + string(b[4:])
}
