package control

import (
	"net/http"
	"strings"
)

// opening says to whom a call is open beside the user who runs the supervisor and root.
type opening int

const (
	toNobody opening = iota
	// toReaders of the account that the path names.
	toReaders
	// toEachOwn: any reader gets what concerns his accounts.
	toEachOwn
)

// route is one call of the API.
type route struct {
	pattern string
	// act is what it is asked for, as the log and who is refused are told.
	act  string
	open opening
	// audited: whoever is not a reader is noted as he comes.
	audited bool
	// harmless: one who only observes answers it, too, as each GET.
	harmless bool
	handle   http.HandlerFunc
}

// routes are all calls that there are. A new one is closed to readers unless it says otherwise.
func (s *Server) routes() []route {
	b, m, p := s.backend, monitored{s.backend}, pauser{s.backend}
	return []route{
		{pattern: "GET /healthz", act: "healthz", handle: m.healthz},
		{pattern: "GET /readyz", act: "readyz", handle: m.readyz},
		{pattern: "GET /v1/version", act: "version", handle: answer(s.version)},
		{pattern: "GET /v1/status", act: "status", open: toEachOwn, handle: answer(s.status)},
		{pattern: "GET /v1/config/difference", act: "config/difference", handle: answer(asked(b.ConfigDifference))},
		{pattern: "POST /v1/config/reload", act: "reload", audited: true, harmless: true, handle: answer(asked(b.Reload))},
		{pattern: "GET /v1/events", act: "events", open: toEachOwn, handle: s.stream},
		{pattern: "GET /v1/metrics", act: "metrics", handle: m.metrics},
		{pattern: "POST /v1/adopt", act: "adopt", audited: true, handle: answer(asked(b.Adopt))},
		{pattern: "POST /v1/providers/{provider}/restart", act: "restart", audited: true, harmless: true, handle: answer(askedOf("provider", b.Restart))},
		{pattern: "GET /v1/accounts", act: "accounts", handle: answer(asked(b.Accounts))},
		{pattern: "POST /v1/accounts/{account}/rename", act: "rename", audited: true, handle: answer(s.renameAccount)},
		{pattern: "POST /v1/accounts/{account}/forget", act: "forget", audited: true, handle: answer(s.forgetAccount)},
		{pattern: "POST /v1/accounts/{account}/refresh", act: "refresh", audited: true, handle: answer(s.refresh)},
		{pattern: "POST /v1/accounts/{account}/test", act: "test", audited: true, handle: answer(askedOf("account", b.TestAccount))},
		{pattern: "GET /v1/accounts/{account}/revoke", act: "revoke/plan", handle: answer(askedOf("account", b.RevokePlan))},
		{pattern: "POST /v1/accounts/{account}/revoke", act: "revoke", audited: true, handle: answer(s.revoke)},
		{pattern: "POST /v1/accounts/{account}/pause", act: "pause", audited: true, handle: answer(p.one)},
		{pattern: "POST /v1/accounts/{account}/resume", act: "resume", audited: true, handle: answer(p.resumeOne)},
		{pattern: "POST /v1/pause", act: "pause/all", audited: true, handle: answer(p.all)},
		{pattern: "POST /v1/resume", act: "resume/all", audited: true, handle: answer(p.resumeAll)},
		{pattern: "GET /v1/accounts/{account}/token", act: "token", open: toReaders, audited: true, handle: answer(s.read("token", s.token))},
		{pattern: "POST /v1/accounts/{account}/token", act: "token/newer", open: toReaders, audited: true, handle: answer(s.read("token/newer", s.usableToken))},
		{pattern: "POST /v1/accounts/{account}/import", act: "import", audited: true, handle: answer(s.importToken)},
		{pattern: "POST /v1/accounts/{account}/login", act: "login", audited: true, handle: answer(s.login)},
		{pattern: "POST /v1/accounts/{account}/login/cancel", act: "login/cancel", audited: true, handle: answer(askedOf("account", b.CancelLogin))},
		{pattern: "POST /v1/accounts/{account}/login/complete", act: "login/complete", audited: true, handle: answer(s.completeLogin)},
		{pattern: "POST /v1/accounts/{account}/login/wait", act: "login/wait", handle: answer(s.awaitLogin)},
		{pattern: "POST /v1/accounts/{account}/login/confirm", act: "login/confirm", audited: true, handle: answer(askedOf("account", b.ConfirmLogin))},
		{pattern: "POST /v1/accounts/{account}/login/discard", act: "login/discard", audited: true, handle: answer(askedOf("account", b.DiscardLogin))},
		{pattern: "GET /v1/sinks", act: "sinks", handle: answer(asked(b.Sinks))},
		{pattern: "GET /v1/alerts", act: "alerts", handle: answer(asked(b.Alerts))},
		{pattern: "POST /v1/alerts/{alert}/acknowledge", act: "acknowledge", audited: true, handle: answer(askedOf("alert", b.AcknowledgeAlert))},
		{pattern: "POST /v1/alerts/{alert}/silence", act: "silence", audited: true, handle: answer(s.silenceAlert)},
		{pattern: "POST /v1/alerts/{alert}/resume", act: "resume", audited: true, handle: answer(askedOf("alert", b.ResumeAlert))},
		{pattern: "POST /v1/sinks/{sink}/test", act: "test", audited: true, handle: answer(askedOf("sink", b.TestSink))},
		{pattern: "POST /v1/sinks/{sink}/redeliver", act: "redeliver", audited: true, handle: answer(s.redeliver)},
		{pattern: "POST /v1/sinks/{sink}/disable", act: "disable", audited: true, handle: answer(askedOf("sink", b.DisableSink))},
		{pattern: "POST /v1/sinks/{sink}/enable", act: "enable", audited: true, handle: answer(askedOf("sink", b.EnableSink))},
		{pattern: "POST /v1/sinks/{sink}/restart", act: "restart", audited: true, handle: answer(askedOf("sink", b.RestartSink))},
		{pattern: "/", act: "a call that there is not", harmless: true, handle: answer(unknown)},
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, c := range s.routes() {
		mux.HandleFunc(c.pattern, s.admitted(c))
	}
	return mux
}

// admitted makes the call if the caller may, and turns him away otherwise.
func (s *Server) admitted(c route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		p := peerOf(r)
		if !p.rights.include(c, r.PathValue("account")) {
			s.turnAway(w, r, c)
			return
		}
		if s.observes && !c.harmless && !strings.HasPrefix(c.pattern, "GET ") {
			writeError(w, Errorf(CodeConflict, "this supervisor only observes; start it without --observe"))
			return
		}
		if c.audited && p.rights.all {
			s.audit(r, c.act)
		}
		c.handle(w, r)
	}
}
