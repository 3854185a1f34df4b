// Package brokersim simulates the authorization servers of brokers for tests
// and demonstrations: Schwab's and Saxo's dialects of OAuth 2.0 whole, and the
// token endpoints of eight other brokers, one for each kind; as strict as the
// brokers or stricter, with faults on request, short lifetimes and counters that
// a test can ask.
//
// It imports nothing of this project, so that it can't share a client's
// misunderstandings. Each rule of a dialect stands with its source in
// dialect_schwab.go, dialect_saxo.go, dialect_kinds.go or dialect_daily.go; one
// without a source says UNVERIFIED.
//
// What brokers do beyond OAuth can be turned on for any dialect: Config has a
// grace for spent refresh tokens, values that stay for a day, death at a time of
// the day or of idleness, competing sessions, requests an hour, assertions,
// TOTP codes, device codes (RFC 8628, device.go) and revocation (RFC 7009, revoke.go).
//
// # Use
//
// With real sockets:
//
//	sim := brokersim.New(brokersim.Config{Dialect: brokersim.Saxo, Speed: 60})
//	if err := sim.Start(); err != nil { … }
//	defer sim.Close()
//	first := sim.Grant("main")       // a login without a browser
//	… point the client at sim.TokenURL(), give it first.RefreshToken …
//	if n := len(sim.Reused()); n > 0 { … }
//
// With simulated time, create the server inside the testing/synctest bubble
// and let the client's transport dial it in memory:
//
//	client := &http.Client{Transport: &http.Transport{DialContext: sim.Dial}}
//
// or serve it, as the http.Handler that it is, over any other listener. Close
// it before the bubble ends.
//
// # Faults
//
// A request meets at most one fault: the first in the queue that fits it, or
// one that [Server.Chaos] picks.
//
//	sim.Inject(brokersim.TooManyRequests("7").For("main"))
//	sim.Inject(brokersim.LostAnswer().At(brokersim.AfterProcessing))
//
//	gate := sim.HoldNext("main")     // not spent yet; HoldNextAnswer: spent
//	<-gate.Entered                   // the request is open now
//	gate.Release()                   // or gate.Drop()
//
// # The windows of a token request
//
// received, processed, answered: [Counts] says how many requests are in each
// window at this moment and how many ended there. Whoever kills a client can
// so prove in which window it died.
package brokersim
