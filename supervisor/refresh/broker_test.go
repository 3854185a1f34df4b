package refresh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/spool"
)

// broker is a strict authorization server and its provider in one: refresh
// tokens are single-use, and using one twice is counted. Its provider keeps
// the spool as package sdk/oauth does.
type broker struct {
	asks     string   // more of the address of a login
	pkce     sdk.PKCE // what its provider says of it
	issuer   string
	lifetime time.Duration
	wall     func() time.Time // the supervisor's machine's clock
	// clock is the broker's own; refreshLife, if set, is how long a refresh
	// token that is not used lives by it. down: nobody can connect.
	clock       func() time.Time
	refreshLife time.Duration
	down        bool
	until       time.Time     // before that it takes requests, does nothing and answers none
	takes       time.Duration // until it answers
	// grace and policyLife are what its provider says of it.
	grace, policyLife time.Duration
	grantEnds         sdk.Deadline         // what its provider says of it
	limits            sdk.Limits           // what its provider says of it
	kills             bool                 // a refresh ends the access token before
	lives             bool                 // its provider says that it lives on
	keeps             bool                 // it does not replace refresh tokens
	replaces          bool                 // it does all the same
	fixed             bool                 // a refresh does not extend the life of the refresh token
	dies              map[string]time.Time // account -> death of its refresh token
	expires           map[string]time.Time // access token -> its death
	skew              time.Duration        // what its answers say

	mu      sync.Mutex
	current map[string]string // account -> the one refresh token that works
	issued  int
	posts   map[string]int // by refresh token
	sentAt  []time.Time    // when each POST came
	unsent  []time.Time    // when each was not sent
	// failedAt is when each code came that was none.
	failedAt []time.Time
	refused  int // POSTs with a dead refresh token
	// who is the id_token of the next logins; beside: they leave the grant that
	// there is alone, being another person's.
	who     string
	beside  bool
	rescued string // where the token of a login was found
	faults  map[string][]fault
	// ails is how long from the next request on it answers HTTP 503, and ailing since
	// when it does.
	ails   time.Duration
	ailing time.Time
}

// fault is what happens to one POST.
type fault struct {
	// beforeSend fails without sending.
	beforeSend error
	// before is called when the request is on its way.
	before func()
	// refuse answers with an error and does not rotate.
	refuse error
	// rotate and then lose the answer.
	loseAnswer bool
	// half: the answer has no access token; same: and the refresh token that
	// was sent, which stays good.
	half, same bool
	// answers, if set, is the answer, and nothing is rotated; says, if set, changes
	// what the answer says.
	answers *sdk.Token
	says    func(*sdk.Token)
	// notice, if set, is closed when the POST has come, and the answer waits
	// for proceed.
	notice, proceed chan struct{}
	// die kills the process at a window.
	die window
	// kill ends the process: it is called at the window.
	kill func()
}

type window int

const (
	nowhere window = iota
	beforeSend
	sent
	answered
	spooled
)

var errKilled = errors.New("killed")

var unavailable = &sdk.Error{Kind: sdk.KindTransient, Message: "HTTP 503", HTTPStatus: 503}

func newBroker(lifetime time.Duration) *broker {
	return &broker{
		lifetime: lifetime, clock: time.Now, dies: map[string]time.Time{}, expires: map[string]time.Time{}, current: map[string]string{}, posts: map[string]int{}, faults: map[string][]fault{},
	}
}

func (b *broker) grant(account string) sdk.Token {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rotate(account)
}

func (b *broker) rotate(account string) sdk.Token {
	b.issued++
	b.current[account] = fmt.Sprintf("refresh-%s-%d", account, b.issued)
	b.dies[account] = b.clock().Add(b.refreshLife)
	b.expires[fmt.Sprintf("access-%s-%d", account, b.issued)] = b.clock().Add(b.lifetime)
	return sdk.Token{
		AccessToken:  sdk.NewSecret(fmt.Sprintf("access-%s-%d", account, b.issued)),
		RefreshToken: sdk.NewSecret(b.current[account]),
		IssuedAt:     b.wall(), Lifetime: b.lifetime, Skew: b.skew,
	}
}

func (b *broker) next(account string, fs ...fault) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[account] = append(b.faults[account], fs...)
}

// expect makes token's refresh token the one that works: of two grants that a
// broker keeps, this one is used from now on.
func (b *broker) expect(account string, token sdk.Token) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current[account] = token.RefreshToken.Reveal()
}

// setSkew makes the broker's answers say that its clock is ahead by d.
func (b *broker) setSkew(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.skew = d
}

// holds says whether rt is the refresh token that works.
func (b *broker) holds(account string, rt sdk.Secret) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.current[account] == rt.Reveal()
}

// sentTwice lists the refresh tokens that came more than once.
func (b *broker) sentTwice() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var twice []string
	for rt, n := range b.posts {
		if n > 1 {
			twice = append(twice, rt)
		}
	}
	return twice
}

// refusals is how often a dead refresh token came.
func (b *broker) refusals() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refused
}

func (b *broker) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, m := range b.posts {
		n += m
	}
	return n
}

func (b *broker) Describe(context.Context) (sdk.Description, error) {
	return sdk.Description{
		Name: "fake", Version: "1", Limits: b.limits,
		Policy: sdk.Policy{
			AccessLifetime: b.lifetime, Rotates: !b.keeps, BeforeExpiry: b.lifetime / 4,
			ReuseGrace: b.grace, RefreshLifetime: b.policyLife, Sliding: !b.fixed, PKCE: b.pkce, Grant: b.grantEnds, OldAccessDies: b.kills, OldAccessLives: b.lives,
		},
		Settings: []sdk.Setting{{Name: "environment", Default: "sim"}, {Name: "token_url", Server: true, Default: "https://{environment}.own.example/t"},
			{Name: "region", Server: true, Default: "eu"}, {Name: "gateway", Server: true}, {Name: "credentials", Steers: true}},
	}, nil
}

func (b *broker) Refresh(ctx context.Context, req sdk.RefreshRequest) (sdk.Token, error) {
	return b.answer(ctx, req.Account.Name, func(f fault, die func(window) bool) ([]byte, error) {
		return b.post(req, f, die)
	})
}

// answer is what package sdk/oauth does around a request.
func (b *broker) answer(ctx context.Context, account string, post func(fault, func(window) bool) ([]byte, error)) (sdk.Token, error) {
	slot, _ := spool.FromContext(ctx)
	if a, ok := slot.Answer(); ok {
		return decodeAnswer(a)
	}
	if err := slot.Advance(spool.Ready); err != nil {
		return sdk.Token{}, err
	}
	b.mu.Lock()
	var f fault
	if fs := b.faults[account]; len(fs) > 0 {
		f, b.faults[account] = fs[0], fs[1:]
	}
	b.mu.Unlock()
	die := func(w window) bool {
		if f.die != w || f.kill == nil {
			return false
		}
		f.kill()
		return true
	}
	if f.beforeSend != nil {
		b.mu.Lock()
		b.unsent = append(b.unsent, b.clock())
		b.mu.Unlock()
		return sdk.Token{}, f.beforeSend
	}
	if b.isDown() {
		return sdk.Token{}, &sdk.Error{Kind: sdk.KindNotSent, Message: "connection refused"}
	}
	if die(beforeSend) {
		return sdk.Token{}, errKilled
	}
	if err := slot.Advance(spool.Sent); err != nil {
		return sdk.Token{}, err
	}
	if f.before != nil {
		f.before()
	}
	b.mu.Lock()
	takes := b.takes
	b.mu.Unlock()
	time.Sleep(takes)
	answer, err := post(f, die)
	if err != nil {
		return sdk.Token{}, err
	}
	if die(answered) {
		return sdk.Token{}, errKilled
	}
	if err := slot.Record(answer); err != nil {
		return sdk.Token{}, err
	}
	if die(spooled) {
		return sdk.Token{}, errKilled
	}
	return decodeAnswer(answer)
}

func (b *broker) post(req sdk.RefreshRequest, f fault, die func(window) bool) ([]byte, error) {
	account, rt := req.Account.Name, req.Token.RefreshToken.Reveal()
	b.mu.Lock()
	b.posts[rt]++
	b.sentAt = append(b.sentAt, b.clock())
	if b.ails > 0 && b.ailing.IsZero() {
		b.ailing = b.clock()
	}
	if b.ails > 0 && b.clock().Before(b.ailing.Add(b.ails)) {
		f.refuse = unavailable
	}
	if b.clock().Before(b.until) {
		f.refuse = sdk.ErrAmbiguous
	}
	if f.refuse != nil {
		b.mu.Unlock()
		return nil, f.refuse
	}
	if b.current[account] != rt || b.refreshLife > 0 && !b.clock().Before(b.dies[account]) {
		b.refused++
		b.mu.Unlock()
		return nil, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "invalid_grant", OAuthError: "invalid_grant", HTTPStatus: 400}
	}
	var t sdk.Token
	if f.answers != nil {
		t = *f.answers
	} else if f.same {
		t = sdk.Token{RefreshToken: req.Token.RefreshToken, IssuedAt: b.wall()}
	} else {
		dies := b.dies[account]
		if t = b.rotate(account); b.keeps && !b.replaces {
			b.current[account], t.RefreshToken = rt, req.Token.RefreshToken
			if b.fixed {
				b.dies[account] = dies
			}
		}
	}
	f.shape(&t)
	b.mu.Unlock()
	if die(sent) {
		return nil, errKilled
	}
	if f.notice != nil {
		close(f.notice)
		<-f.proceed
	}
	if f.loseAnswer {
		return nil, &sdk.Error{Kind: sdk.KindAmbiguous, Message: "the answer was lost"}
	}
	return encodeAnswer(t), nil
}

// AuthCodeURL makes broker an authorizer: the code for an account is
// "code-" and its name.
func (b *broker) AuthCodeURL(_ context.Context, req sdk.AuthRequest) (string, error) {
	return "https://broker.invalid/authorize?" + b.asks + "state=" + req.State, nil
}

func (b *broker) Issuer(sdk.Account) string { return b.issuer }

func (b *broker) Exchange(ctx context.Context, req sdk.ExchangeRequest) (sdk.Token, error) {
	t, err := b.answer(ctx, req.Account.Name, func(f fault, die func(window) bool) ([]byte, error) {
		b.mu.Lock()
		b.sentAt = append(b.sentAt, b.clock())
		b.mu.Unlock()
		if req.Code.Reveal() != "code-"+req.Account.Name {
			b.mu.Lock()
			b.failedAt = append(b.failedAt, b.clock())
			b.mu.Unlock()
			return nil, &sdk.Error{Kind: sdk.KindInvalidGrant, Message: "invalid_grant", OAuthError: "invalid_grant"}
		}
		b.mu.Lock()
		current := b.current[req.Account.Name]
		t := b.rotate(req.Account.Name)
		if t.IDToken = sdk.NewSecret(b.who); b.beside {
			b.current[req.Account.Name] = current
		}
		f.shape(&t)
		b.mu.Unlock()
		if die(sent) {
			return nil, errKilled
		}
		return encodeAnswer(t), nil
	})
	t.Rescued = b.rescued
	return t, err
}

func (b *broker) isDown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

func (b *broker) setTakes(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.takes = d
}

func (b *broker) setDown(down bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = down
}

// accepts says whether an access token works, by the broker's clock.
func (b *broker) accepts(access sdk.Secret) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.clock().Before(b.expires[access.Reveal()])
}

// grantDies is when the account's refresh token dies if nobody uses it.
func (b *broker) grantDies(account string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dies[account]
}
