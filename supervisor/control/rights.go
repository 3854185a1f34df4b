package control

import (
	"fmt"
	"math"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/supervisor/config"
	"github.com/tokenkeeper/tokenkeeper/supervisor/localsocket"
	"github.com/tokenkeeper/tokenkeeper/supervisor/trust"
)

// rights are what a caller may do over the control API: everything, or reading the
// tokens of accounts, or nothing.
type rights struct {
	all     bool
	readers []config.Reader
}

func (m rights) none() bool { return !m.all && len(m.readers) == 0 }

// reads says whether the account is among his.
func (m rights) reads(account string) bool {
	return m.all || slices.ContainsFunc(m.readers, func(r config.Reader) bool { return r.Reads(account) })
}

// include says whether he may make a call, about the account that its path names.
func (m rights) include(c route, account string) bool {
	switch {
	case m.all:
		return true
	case c.open == toReaders:
		return m.reads(account)
	case c.open == toEachOwn:
		return !m.none()
	}
	return false
}

// admission is who has which rights. Names of users and groups are looked up for each
// connection: a user may be made after the supervisor has started.
type admission struct {
	own     uint32 // who runs the supervisor
	readers []config.Reader
}

func (a admission) rightsOf(p localsocket.Peer) rights {
	switch {
	case p.UID == 0:
		return rights{all: true}
	case p.UID == config.Unmapped && len(a.readers) > 0: // the socket is open, and that may be anybody
		return rights{}
	case p.UID == a.own:
		return rights{all: true}
	}
	var m rights
	for _, r := range a.readers {
		if names(r.User, config.UserNumber, p.UID) || names(r.Group, config.GroupNumber, p.Groups...) {
			m.readers = append(m.readers, r)
		}
	}
	return m
}

// names says whether a name, or a number in its place, is that of one of the numbers. It is
// looked up once, however many there are: a caller may have thousands of groups.
func names(word string, numberOf func(string) (uint32, error), numbers ...uint32) bool {
	if word == "" {
		return false
	}
	named, err := numberOf(word)
	return err == nil && slices.Contains(numbers, named)
}

// turnAway refuses a call, and says what would allow it. What it says is the same whether
// there is such an account or not.
func (s *Server) turnAway(w http.ResponseWriter, r *http.Request, c route) {
	p := peerOf(r)
	if s.refusals.due(p.UID, time.Now()) {
		s.log.Warn("a caller of the control API was turned away; others of the same user are not told for a minute",
			"uid", p.UID, "pid", p.PID, "act", c.act, "error", p.err)
	}
	w.Header().Set("Connection", "close")
	who := trust.Here().User(int(p.UID))
	if p.err != nil {
		who = "a caller of whom the kernel does not say who he is"
	}
	owner := fmt.Sprintf("root and %s, who runs the supervisor,", trust.Here().User(int(s.admission.own)))
	if c.open == toNobody || p.err != nil {
		writeError(w, Errorf(CodeForbidden, "%s may not use the control API for %s: only %s may; control.readers in the configuration lets others read access tokens, and nothing else", who, c.act, owner))
		return
	}
	account := r.PathValue("account")
	if !sdk.ValidName(account) {
		account = "ACCOUNT"
	}
	of := ""
	if c.open == toReaders {
		of = " of account " + account
	}
	writeError(w, Errorf(CodeForbidden, "%s may not use the control API for %s%s: only %s and its readers may; "+
		"in the configuration it would take, among control.readers: {user: %s, accounts: [%s]}", who, c.act, of, owner, wordOf(p.UID), account))
}

// wordOf is how the configuration names a user.
func wordOf(uid uint32) string {
	number := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(number); err == nil {
		return u.Username
	}
	return number
}

// seldom keeps one user's calls from filling the log.
type seldom struct {
	mu   sync.Mutex
	last map[uint32]time.Time
}

// due says whether the last time was a minute ago.
func (s *seldom) due(uid uint32, now time.Time) bool {
	const pause, most = time.Minute, 1000
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, told := s.last[uid]; told && now.Sub(last) < pause {
		return false
	}
	if s.last == nil || len(s.last) >= most {
		s.last = map[uint32]time.Time{}
	}
	s.last[uid] = now
	return true
}

// nobody is no user's number (chown(2)).
const nobody = math.MaxUint32
