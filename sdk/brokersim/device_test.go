package brokersim

import (
	"net/url"
	"testing"
	"time"
)

// The device grant, step by step: RFC 8628.
func TestDeviceCode(t *testing.T) {
	c, clock := newKindsClient(t, Config{Dialect: Xero, Device: true})
	begin := func() (code, userCode, complete string) {
		a := c.postForm(c.sim.DeviceURL(), url.Values{"scope": {"offline_access"}}, true)
		c.expect("begun", a.status, 200)
		c.expect("expires_in", a.body["expires_in"], 1800.0)
		c.expect("interval", a.body["interval"], 5.0)
		c.expect("verification_uri", a.body["verification_uri"], c.sim.URL()+"/device")
		return a.body["device_code"].(string), a.body["user_code"].(string), a.body["verification_uri_complete"].(string)
	}
	poll := func(code string) testAnswer {
		return c.postForm(c.sim.TokenURL(), url.Values{"grant_type": {grantDevice}, "device_code": {code}}, true)
	}
	wants := func(what string, a testAnswer, code string) {
		t.Helper()
		c.expect(what, a.status, 400)
		c.expect(what, a.body["error"], code)
	}
	wait := func(d time.Duration) { clock.now = clock.now.Add(d) }

	code, userCode, _ := begin()
	wants("nobody has approved", poll(code), codePending)
	wait(5 * time.Second)
	wants("after the interval", poll(code), codePending)
	c.expect("no fault so far", len(c.sim.Violations()), 0)
	wait(4 * time.Second)
	wants("too early", poll(code), codeSlowDown)
	c.expect("which is a fault", len(c.sim.Violations()), 1)
	wait(9 * time.Second)
	wants("the interval is longer now", poll(code), codeSlowDown)
	wait(15 * time.Second)
	wants("and longer", poll(code), codePending)
	c.expect("a code that nobody has", c.sim.ApproveDevice("AAAA-AAAA", "main"), false)
	c.expect("typed in small letters", c.sim.ApproveDevice(plainCode(userCode), "main"), true)
	c.expect("only once", c.sim.DenyDevice(userCode), false)
	wait(15 * time.Second)
	a := poll(code)
	c.expect("approved", a.status, 200)
	c.expect("its access token", c.resource(a.body["access_token"].(string)), 200)
	c.expect("whose it is", c.sim.Account("main").Logins, 1)
	c.mustRefresh(a.body["refresh_token"].(string))
	wants("a device code works once", poll(code), codeInvalidGrant)

	c.sim.LoginAs("main")
	code, _, complete := begin()
	c.expect("opened", c.send("GET", complete).status, 200)
	c.expect("and approved by that", poll(code).status, 200)
	c.expect("opened again", c.send("GET", complete).status, 404)
	code, userCode, _ = begin()
	c.sim.DenyDevice(userCode)
	wants("refused", poll(code), codeDenied)
	code, userCode, _ = begin()
	wait(30 * time.Minute)
	c.expect("too late to type it", c.sim.ApproveDevice(userCode, "main"), false)
	wants("too late", poll(code), codeExpired)
	wants("unknown", poll("x"), codeInvalidGrant)

	off, _ := newKindsClient(t, Config{Dialect: Xero})
	c.expect("not asked for", off.sim.DeviceURL(), "")
	off.postForm(off.sim.TokenURL(), url.Values{"grant_type": {grantDevice}, "device_code": {"x"}}, true)
	c.expect("is refused", len(off.sim.Violations()), 1)
}
