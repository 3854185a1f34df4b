package providertest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/tokenkeeper/tokenkeeper/sdk"
	"github.com/tokenkeeper/tokenkeeper/sdk/providertest"
)

// beating is a provider whose sessions are kept alive, of a broker that says in a 200
// how they are. Its fields are mistakes.
type beating struct {
	minting
	read  func(status int, body []byte) (sdk.Life, error)
	calls int
	never bool
	late  *sync.Map // accounts with an attempt
}

func (p *beating) Describe(ctx context.Context) (sdk.Description, error) {
	d, err := p.minting.Describe(ctx)
	if !p.never {
		d.KeepaliveEvery = time.Minute
	}
	return d, err
}

func (p *beating) Mint(ctx context.Context, req sdk.MintRequest) (sdk.Token, error) {
	if p.late != nil {
		p.late.Store(req.Account.Name, true)
	}
	return p.minting.Mint(ctx, req)
}

func (p *beating) KeepAlive(ctx context.Context, req sdk.KeepaliveRequest) (sdk.Life, error) {
	if p.late != nil {
		if _, busy := p.late.Load(req.Account.Name); busy {
			return "", fmt.Errorf("account %s is busy", req.Account.Name)
		}
	}
	read := p.read
	if read == nil {
		read = readBeat
	}
	var life sdk.Life
	for range 1 + p.calls {
		beat, err := http.NewRequestWithContext(ctx, http.MethodPost, req.Account.Settings["token_url"], nil)
		if err != nil {
			return "", err
		}
		beat.Header.Set("Authorization", "Bearer "+req.Token.AccessToken.Reveal())
		resp, err := http.DefaultClient.Do(beat)
		if err != nil {
			return "", fmt.Errorf("no beat of account %s", req.Account.Name)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return "", err
		}
		if life, err = read(resp.StatusCode, body); err != nil {
			return "", err
		}
	}
	return life, nil
}

func readBeat(status int, body []byte) (sdk.Life, error) {
	var beat struct {
		Session string `json:"session"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &beat) != nil {
		return "", fmt.Errorf("the beat was answered HTTP %d", status)
	}
	return map[string]sdk.Life{"here": sdk.Alive, "elsewhere": sdk.Competing, "nowhere": sdk.Gone}[beat.Session], nil
}

func beatingSuite(p *beating) providertest.Suite {
	s := mintingSuite(p)
	s.Broker.Beat = func(life sdk.Life) (int, string) {
		return 200, fmt.Sprintf(`{"session":%q}`, map[sdk.Life]string{sdk.Alive: "here", sdk.Competing: "elsewhere", sdk.Gone: "nowhere"}[life])
	}
	return s
}

// Each rule of beats finds the provider that breaks it.
func TestBrokenBeatsAreFound(t *testing.T) {
	reads := func(foundBy string, read func(status int, body []byte) (sdk.Life, error)) brokenSuite {
		return brokenSuite{beatingSuite(&beating{read: read}), foundBy}
	}
	failed := func(life sdk.Life) func(int, []byte) (sdk.Life, error) {
		return func(status int, body []byte) (sdk.Life, error) {
			if l, err := readBeat(status, body); err == nil {
				return l, nil
			}
			return life, nil
		}
	}
	bare := suite(&beating{read: func(status int, _ []byte) (sdk.Life, error) {
		if status == 200 {
			return sdk.Alive, nil
		}
		return "", fmt.Errorf("answered HTTP %d", status)
	}})
	eachIsFound(t, map[string]brokenSuite{
		"is alive by a 200":          reads("KeepAlive/competing", func(status int, _ []byte) (sdk.Life, error) { return sdk.Alive, nil }),
		"is well":                    reads("KeepAlive/alive", func(int, []byte) (sdk.Life, error) { return "well", nil }),
		"calls all failures gone":    reads("KeepAlive/NobodyKnows/Page500", failed(sdk.Gone)),
		"calls all failures alive":   reads("KeepAlive/NobodyKnows/Page200", failed(sdk.Alive)),
		"prints bodies":              reads("KeepAlive/NobodyKnows/Page500", func(_ int, b []byte) (sdk.Life, error) { return "", fmt.Errorf("%s", b) }),
		"says not how often":         {beatingSuite(&beating{never: true}), "Describe"},
		"beats twice":                {beatingSuite(&beating{calls: 1}), "KeepAlive/alive"},
		"beats not beside attempts":  {beatingSuite(&beating{late: &sync.Map{}}), "KeepAlive/IsNoAttempt"},
		"does not know what is gone": {bare, "KeepAlive/gone"},
	}, false)
}
