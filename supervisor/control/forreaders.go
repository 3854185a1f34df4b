package control

import (
	"errors"
	"net/http"

	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/refresh"
)

// What a reader gets is put together anew, of what he may know, and nothing is taken out
// of what others get: a new field, or a text that names something else, stays closed.

// read reads a token. Of a reader it is noted when it is known what he gets, and which
// version, and before he gets it.
func (s *Server) read(act string, get func(*http.Request) (TokenAnswer, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) {
		got, err := get(r)
		p := peerOf(r)
		if p.rights.all {
			return got, err
		}
		account := r.PathValue("account")
		if err != nil {
			err := errorForReader(account, err)
			s.reads.add(account, read{act: act, code: err.Code}, caller(r))
			return nil, err
		}
		s.reads.add(account, read{act: act, version: got.Version}, caller(r))
		return got, nil
	}
}

// errorForReader is why he gets no token of his account.
func errorForReader(account string, err error) *Error {
	e := asError(err)
	if e.plain {
		return e
	}
	say := func(text string) *Error {
		return &Error{Status: e.Status, Code: e.Code, Message: "account " + account + ": " + text, RetryAt: e.RetryAt}
	}
	switch e.Code {
	case CodeBadRequest: // it may quote what a broker says
		return say("it was asked for in a way that can't be answered: min_valid is a duration, like 90s, 30m or 2h, and if_version " +
			"the number of a version; if they are, whoever runs the supervisor sees why by tokenkeeper status")
	case CodeNotFound:
		return say("there is none of that name")
	case CodeNoToken:
		return say("it has no token yet: whoever runs the supervisor has to log in")
	case CodeNeedsLogin, CodeAnotherPerson:
		return say("it needs a login, by whoever runs the supervisor")
	case CodeNeedsPerson:
		return say("it gets no newer token before whoever runs the supervisor has done something: he sees what by tokenkeeper status")
	case CodePaused:
		return say("it is paused by whoever runs the supervisor, and gets no newer token before it is resumed")
	case CodeShortLived:
		return say("no token of it lives for so long: ask for less")
	case CodeNotYet:
		return say("no newer token can be had yet: ask again later")
	}
	return say("no such token can be had now: ask again, and if it lasts, whoever runs the supervisor sees why by tokenkeeper status")
}

// eventForReader says no more than that something has become of his account.
func eventForReader(e event.Event) event.Event {
	return event.Event{
		Seq: e.Seq, Time: e.Time, Type: e.Type, Account: e.Account, Version: e.Version, Expiry: e.Expiry, Next: e.Next,
		Message: "account " + e.Account + ": " + e.Type.Words(),
	}
}

// statusForReader is how his accounts are.
func statusForReader(s Status, m rights) Status {
	his := Status{Version: s.Version, PID: s.PID, StartedAt: s.StartedAt, Now: s.Now, Providers: []Provider{}, Accounts: []Account{}}
	for _, a := range s.Accounts {
		if !m.reads(a.Name) {
			continue
		}
		his.Accounts = append(his.Accounts, Account{
			Name: a.Name, Provider: a.Provider, Sinks: []Delivery{},
			Shown: refresh.Shown{
				State: a.State, Version: a.Version, Way: a.Way, Expiry: a.Expiry, ExpiryUncertain: a.ExpiryUncertain,
				LastRefresh: a.LastRefresh, OldAccessDies: a.OldAccessDies, Due: a.Due, InFlight: a.InFlight,
			},
		})
	}
	return his
}

// status is how everything is, for a reader what is his.
func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	st, err := s.backend.Status(r.Context())
	if m := peerOf(r).rights; !m.all {
		if err != nil {
			return nil, Errorf(asError(err).Code, "the status can't be had now: ask again")
		}
		return statusForReader(st, m), nil
	}
	return st, err
}

// subscribe follows the events that the caller is told.
func (s *Server) subscribe(r *http.Request, audited bool) (sub *event.Subscription, shown func(event.Event) event.Event, err error) {
	m := peerOf(r).rights
	switch {
	case !m.all && audited:
		return nil, nil, errors.New("who reads and changes tokens is told to root and to the user who runs the supervisor alone: leave out audit")
	case !m.all:
		wants := func(e event.Event) bool { return e.Account != "" && m.reads(e.Account) }
		return s.events.SubscribeTo(streamBuffer, wants), eventForReader, nil
	case audited:
		sub = s.events.SubscribeAudited(streamBuffer)
	default:
		sub = s.events.Subscribe(streamBuffer)
	}
	return sub, func(e event.Event) event.Event { return e }, nil
}
