package redis

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenkeeper/tokenkeeper/sdk"
)

// storeScript is a delivery. Redis runs a script as one step: either all of it
// is seen or nothing. Two supervisors may write, so it compares with what is
// there: that is newer only if nothing speaks against it, because a store that
// was set up anew begins with low versions again, and a clock can be set back.
//
// KEYS: the token's, the mark's. ARGV: content, lifetime in ms or "", mark,
// channel or "", version, issue time in ms or 0, account.
// It answers {"stored"|"newer"|"account"|"foreign", detail}.
var storeScript = goredis.NewScript(`
local there = redis.call('GET', KEYS[2])
if there then
  local version, issued, account = there:match('^v1 (%d+) (%d+) %d+ (%S+)$')
  if not version then return {'foreign', ''} end
  if account ~= ARGV[7] then return {'account', account} end
  local newer, older = false, false
  local function compare(theirs, ours)
    newer, older = newer or theirs > ours, older or theirs < ours
  end
  compare(tonumber(version), tonumber(ARGV[5]))
  if issued ~= '0' and ARGV[6] ~= '0' then compare(tonumber(issued), tonumber(ARGV[6])) end
  if newer and not older then return {'newer', ''} end
end
for i, value in ipairs({ARGV[3], ARGV[1]}) do
  if ARGV[2] == '' then
    redis.call('SET', KEYS[3 - i], value)
  else
    redis.call('SET', KEYS[3 - i], value, 'PX', ARGV[2])
  end
end
if ARGV[4] ~= '' then redis.call('PUBLISH', ARGV[4], ARGV[1]) end
return {'stored', ''}
`)

// holdsScript answers {mark} if there are a token and a mark, and else {}. It
// needs no permission that a delivery does not.
//
// KEYS as above.
var holdsScript = goredis.NewScript(`
local there = redis.call('GET', KEYS[1])
local mark = redis.call('GET', KEYS[2])
if not there or there == '' or not mark then return {} end
return {mark}
`)

// testScript answers which commands of a delivery the user may not run, as far
// as the server can tell (Redis 7). Then it writes nothing into the mark, which
// changes nothing and fails where a delivery would: no memory left, a replica,
// a disk that takes nothing.
//
// KEYS as above. ARGV: channel or "".
var testScript = goredis.NewScript(`
local denied = {}
if redis.acl_check_cmd then
  local needed = {{'SET', KEYS[1], ''}, {'SET', KEYS[2], ''}, {'GET', KEYS[1]}, {'GET', KEYS[2]}}
  if ARGV[1] ~= '' then table.insert(needed, {'PUBLISH', ARGV[1], ''}) end
  for _, command in ipairs(needed) do
    if not redis.acl_check_cmd(unpack(command)) then
      table.insert(denied, command[1] .. ' ' .. command[2])
    end
  end
  if not redis.acl_check_cmd('SETRANGE', KEYS[2], 0, '') then return denied end
end
redis.call('SETRANGE', KEYS[2], 0, '')
return denied
`)

// mark stands beside the token and says which one it is.
type mark struct {
	version        uint64
	issued, stored time.Time
	account        string
}

func (m mark) String() string {
	return fmt.Sprintf("v1 %d %s %s %s", m.version, milliseconds(m.issued), milliseconds(m.stored), m.account)
}

// parseMark is for what String wrote.
func parseMark(text string) (m mark, ok bool) {
	var issued, stored int64
	n, err := fmt.Sscanf(text, "v1 %d %d %d %s", &m.version, &issued, &stored, &m.account)
	if err != nil || n != 4 || strings.Count(text, " ") != 4 {
		return mark{}, false
	}
	m.issued, m.stored = time.UnixMilli(issued), time.UnixMilli(stored)
	return m, true
}

// milliseconds since 1970; "0" for the zero time.
func milliseconds(t time.Time) string {
	return strconv.FormatInt(max(0, t.UnixMilli()), 10)
}

const (
	// linger is how long a token stays after its end.
	linger = time.Minute
	// shortest is the lifetime of what is delivered too late.
	shortest = time.Minute
)

// lifeLeft is for SET … PX: milliseconds, or "" for ever. It counts from now
// and is no moment, so that the server's clock does not matter.
func lifeLeft(t ttl, token sdk.Token, now time.Time) string {
	life := t.fixed
	switch {
	case t.none, t.fixed == 0 && token.Expiry().IsZero():
		return ""
	case t.fixed == 0:
		life = token.Expiry().Add(linger).Sub(now)
	}
	return strconv.FormatInt(max(life, shortest).Milliseconds(), 10)
}
