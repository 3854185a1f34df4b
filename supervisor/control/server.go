package control

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/event"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
)

const (
	// maxBody of a request: token files have a few KiB.
	maxBody = 1 << 20
	// callTimeout is longer than a refresh's deadline and a provider's start
	// together.
	callTimeout   = 90 * time.Second
	writeTimeout  = 2 * time.Minute
	awaitTimeout  = time.Minute
	headerTimeout = 5 * time.Second
	bodyTimeout   = 10 * time.Second
	idleTimeout   = 30 * time.Second
	// stopTimeout is how long calls may take to end after the shutdown began.
	stopTimeout = 2 * time.Second
)

// Server answers the control API.
type Server struct {
	backend   Backend
	events    *event.Bus
	log       *slog.Logger
	admission admission
	refusals  seldom
	reads     *readings
	turns     turns
	observes  bool
}

// NewServer returns a server that has backend do the work and streams events, for root,
// for the user of this process, and for readers as far as they may read.
func NewServer(backend Backend, events *event.Bus, log *slog.Logger, readers ...config.Reader) *Server {
	return &Server{
		backend: backend, events: events, log: log, admission: admission{own: uint32(os.Geteuid()), readers: readers}, reads: &readings{events: events},
	}
}

// OnlyObserves has every call refused that would change, send or deliver anything. It is
// called before Serve.
func (s *Server) OnlyObserves() { s.observes = true }

// Serve answers on ln until ctx ends, and closes ln. Streams and calls then
// end, and Serve returns nil within [stopTimeout].
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	srv := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withPeer,
	}
	s.reads.begin()
	defer s.reads.end()
	return ServeUntil(ctx, srv, &gate{Listener: localsocket.Patient{Listener: ln}, server: s, inside: map[uint32]int{}})
}

// ServeUntil has srv serve ln until ctx ends, and closes ln. Requests then end, and it
// returns nil within [stopTimeout].
func ServeUntil(ctx context.Context, srv *http.Server, ln net.Listener) error {
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := srv.Shutdown(stop); err != nil {
		_ = srv.Close()
	}
	<-served
	return nil
}

// asked is a call that says nothing but what is wanted.
func asked[T any](call func(context.Context) (T, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) { return call(r.Context()) }
}

// askedOf is a call about the one that the path names in the place of what.
func askedOf[T any](what string, call func(context.Context, string) (T, error)) func(http.ResponseWriter, *http.Request) (any, error) {
	return func(_ http.ResponseWriter, r *http.Request) (any, error) { return call(r.Context(), r.PathValue(what)) }
}

// answer turns a call into a handler: its answer or its error as JSON.
func answer(call func(http.ResponseWriter, *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
		defer cancel()
		got, err := call(w, r.WithContext(ctx))
		if err != nil {
			writeError(w, asError(err))
			return
		}
		writeJSON(w, http.StatusOK, got)
	}
}

func (s *Server) version(_ http.ResponseWriter, r *http.Request) (any, error) {
	status, err := s.backend.Status(r.Context())
	return VersionOf(status.Version), err
}

func (s *Server) refresh(_ http.ResponseWriter, r *http.Request) (any, error) {
	force, err := flag(r, "force")
	if err != nil {
		return nil, err
	}
	return s.backend.Refresh(r.Context(), r.PathValue("account"), force)
}

func (s *Server) renameAccount(_ http.ResponseWriter, r *http.Request) (any, error) {
	to := r.URL.Query().Get("to")
	if to == "" {
		return nil, Errorf(CodeBadRequest, "what is the account called now? Give ?to= its name in the configuration")
	}
	return s.backend.RenameAccount(r.Context(), r.PathValue("account"), to)
}

func (s *Server) token(r *http.Request) (TokenAnswer, error) {
	return s.backend.Token(r.Context(), r.PathValue("account"))
}

func (s *Server) usableToken(r *http.Request) (TokenAnswer, error) {
	req := TokenRequest{Account: r.PathValue("account")}
	var err error
	if text := r.URL.Query().Get("min_valid"); text != "" {
		if req.MinValid, err = time.ParseDuration(text); err != nil || req.MinValid < 0 {
			return TokenAnswer{}, Errorf(CodeBadRequest, "min_valid must be a duration, like 90s, 30m or 2h, not %q", text)
		}
	}
	if text := r.URL.Query().Get("if_version"); text != "" {
		if req.IfVersion, err = strconv.ParseUint(text, 10, 64); err != nil {
			return TokenAnswer{}, Errorf(CodeBadRequest, "if_version must be the number of a version, not %q", text)
		}
	}
	return s.inTurn(r, req)
}

func (s *Server) importToken(w http.ResponseWriter, r *http.Request) (any, error) {
	force, err := flag(r, "force")
	if err != nil {
		return nil, err
	}
	written, err := instant(r, "written_at")
	if err != nil {
		return nil, err
	}
	loggedIn, err := instant(r, "login_at")
	if err != nil {
		return nil, err
	}
	var since *uint64
	if v := r.URL.Query().Get("since"); v != "" {
		version, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return nil, Errorf(CodeBadRequest, "since must be the number of a version")
		}
		since = &version
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return s.backend.Import(r.Context(), ImportRequest{
		Account: r.PathValue("account"), Format: r.URL.Query().Get("format"), Force: force, Since: since, Body: body, WrittenAt: written,
		Attempt: r.URL.Query().Get("attempt"), LoginAt: loggedIn,
	})
}

// instant is a moment among the query's parameters; zero: it is not there.
func instant(r *http.Request, name string) (at time.Time, err error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339, text); err != nil {
		return at, Errorf(CodeBadRequest, "%s must be a time in RFC 3339, like 2026-07-01T12:00:00Z", name)
	}
	return at, nil
}

func (s *Server) login(_ http.ResponseWriter, r *http.Request) (any, error) {
	return s.backend.Login(r.Context(), r.PathValue("account"), r.URL.Query().Get("shape"), caller(r))
}

func (s *Server) awaitLogin(_ http.ResponseWriter, r *http.Request) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), awaitTimeout)
	defer cancel()
	return s.backend.AwaitLogin(ctx, r.PathValue("account"), r.URL.Query().Get("id"))
}

func (s *Server) completeLogin(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	return s.backend.CompleteLogin(r.Context(), r.PathValue("account"), strings.TrimSpace(string(body)))
}

func (s *Server) silenceAlert(_ http.ResponseWriter, r *http.Request) (any, error) {
	during, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil || during <= 0 {
		return nil, Errorf(CodeBadRequest, "for how long? Give ?for= a duration, like 90s, 30m or 2h")
	}
	return s.backend.SilenceAlert(r.Context(), r.PathValue("alert"), during)
}

func (s *Server) redeliver(_ http.ResponseWriter, r *http.Request) (any, error) {
	force, err := flag(r, "force")
	if err != nil {
		return nil, err
	}
	return s.backend.Redeliver(r.Context(), r.PathValue("sink"), r.URL.Query().Get("account"), force)
}

// readBody reads what comes with a call, within bounds.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	_ = conn.SetReadDeadline(time.Time{})
	if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
		return nil, Errorf(CodeBadRequest, "the body is larger than %d bytes: is it the right file?", maxBody)
	}
	if err != nil {
		return nil, Errorf(CodeBadRequest, "the body did not arrive whole: %v", err)
	}
	return body, nil
}

func unknown(_ http.ResponseWriter, r *http.Request) (any, error) {
	return nil, Errorf(CodeNotFound, "there is no call %s %s in this version of the control API", r.Method, r.URL.Path)
}

// flag reads a boolean of the query; missing is false.
func flag(r *http.Request, name string) (bool, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	value, err := strconv.ParseBool(text)
	if err != nil {
		return false, Errorf(CodeBadRequest, "%s must be true or false, not %q", name, text)
	}
	return value, nil
}

func writeError(w http.ResponseWriter, e *Error) {
	if !e.RetryAt.IsZero() {
		seconds := math.Ceil(max(0, time.Until(e.RetryAt).Seconds()))
		w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', 0, 64))
	}
	writeJSON(w, e.Status, e)
}

// writeJSON answers. Nothing of this API may be kept on the way: some answers
// hold tokens and all of them age.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(InUTC(v)) // the caller may be gone
}
